"""English captions of the demo's stills: what its CLIP learns from instead of the web's.

A caption says which instrument there is, in one of its names, and how it is played; colours, rooms and things are drawn
alike for all classes (scene.py) and left out.  Every caption fits 20 tokens of CLIP's.
"""

from collections.abc import Sequence

import numpy as np

# Each class's names, its own first.
NAMES: dict[str, tuple[str, ...]] = {
    "accordion": ("accordion", "squeezebox", "piano accordion"),
    "acoustic_guitar": ("acoustic guitar", "guitar", "spanish guitar"),
    "cello": ("cello", "violoncello"),
    "clarinet": ("clarinet", "soprano clarinet"),
    "erhu": ("erhu", "chinese fiddle", "two-stringed fiddle"),
    "flute": ("flute", "transverse flute", "concert flute"),
    "saxophone": ("saxophone", "sax", "alto saxophone"),
    "trumpet": ("trumpet", "brass trumpet"),
    "tuba": ("tuba", "bass tuba", "brass tuba"),
    "violin": ("violin", "fiddle"),
    "xylophone": ("xylophone", "wooden xylophone"),
}

# {} is an instrument's name; "a {}" becomes "an {}" where the name asks for it.
TEMPLATES = (
    "a person playing the {}",
    "a person playing a {}",
    "someone playing a {}",
    "somebody plays the {}",
    "a musician with a {}",
    "a musician plays the {}",
    "a {} player",
    "a {}",
    "the {}",
    "the sound of a {}",
    "{} solo",
    "{} music",
)
BOWED = ("bowing a {}", "a person bowing the {}", "a bow on the strings of a {}")
BLOWN = ("blowing a {}", "a person blowing the {}", "a musician breathing into a {}")
PLUCKED = ("plucking a {}", "a person plucking the {}", "strumming a {}")
STRUCK = ("striking a {}", "a person hitting the {}", "mallets on a {}")
SQUEEZED = ("squeezing a {}", "a person squeezing the {}", "pulling the bellows of a {}")

PLAYED: dict[str, tuple[str, ...]] = {
    "accordion": SQUEEZED,
    "acoustic_guitar": PLUCKED,
    "cello": BOWED,
    "clarinet": BLOWN,
    "erhu": BOWED,
    "flute": BLOWN,
    "saxophone": BLOWN,
    "trumpet": BLOWN,
    "tuba": BLOWN,
    "violin": BOWED,
    "xylophone": STRUCK,
}

# Around the whole; most captions have neither.
BEFORE = ("", "", "", "a picture of ", "a drawing of ", "here is ")
AFTER = ("", "", "", " in a room", " at home", " at a concert")


def caption(rng: np.random.Generator, name: str) -> str:
    """A caption, drawn, of a still that shows an instrument of class `name`."""
    words = _drawn(rng, NAMES[name])
    template = _drawn(rng, TEMPLATES + PLAYED[name])
    return _drawn(rng, BEFORE) + _filled(template, words) + _drawn(rng, AFTER)


def _drawn(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _filled(template: str, words: str) -> str:
    article = "an" if words[0] in "aeiou" else "a"
    return template.replace("a {}", f"{article} {words}").replace("{}", words)
