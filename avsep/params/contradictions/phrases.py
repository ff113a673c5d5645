"""The phrases that VAST is asked by."""

from collections.abc import Callable, Iterator

from avsep.errors import InputError
from avsep.params.sections import Params
from avsep.weights.phrases import phrase_of, refuse_unreadable, tokenise


def place_of_the_class(p: Params) -> Iterator[str]:
    if "{}" not in p.vast.phrase:
        yield f"vast.phrase is {p.vast.phrase!r}: {{}} must stand where the class's name goes"


def plain_words(p: Params) -> Iterator[str]:
    yield from _refused(p, refuse_unreadable)


def tokens(p: Params) -> Iterator[str]:
    """How many tokens a phrase has. Only for stages that import CLIP anyway: its tokeniser takes ten times as long to
    import as all other checks."""
    yield from _refused(p, lambda phrase: tokenise([phrase], p.clip.context))


def _refused(p: Params, check: Callable[[str], object]) -> Iterator[str]:
    """What `check` refuses with InputError, one problem a param."""
    # a folder's classes are known when it is read: any letter stands for their names
    classes = p.videos.classes if p.videos.source == "demo" else ["x"]
    phrases = [("vast.phrase", phrase_of(name, p.vast.phrase)) for name in classes]
    phrases += [(f"evaluate.synonyms.{name}", phrase) for name, phrase in p.evaluate.synonyms.items()]
    phrases += [(f"evaluate.unmatched.{number}", phrase) for number, phrase in enumerate(p.evaluate.unmatched)]
    told: set[str] = set()
    for name, phrase in phrases:
        if name in told:
            continue
        try:
            check(phrase)
        except InputError as error:
            told.add(name)
            yield f"{name}: {error}"


CHECKS = (place_of_the_class, plain_words)
