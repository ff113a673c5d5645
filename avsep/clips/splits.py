"""Which videos train, validate and test, and which are mixed with which for validation and test.

All of it is a function of the seed, the classes and the ids: neither the order of a list nor a class that is
added changes another class's split.
"""

import hashlib
import itertools
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from avsep.clips.index import Mixture, Video
from avsep.clips.leaks import TOGETHER, Leak, sentences
from avsep.errors import InputError

Choice = TypeVar("Choice")


class Splits(NamedTuple):
    train: list[Video]
    val: list[Video]
    test: list[Video]


def split(videos: Iterable[Video], val: float, test: float, seed: int) -> Splits:
    """Splits each class's videos by the shares `val` and `test`, rounded, at least one video to each of the three.

    Each list is sorted by class and id.  Raises InputError for fewer than 4 classes, or a class with fewer
    than 3 videos.
    """
    classes: dict[str, list[Video]] = {}
    for video in sorted(videos):
        classes.setdefault(video.category, []).append(video)
    for category, members in classes.items():
        if len(members) < 3:
            raise InputError(
                f"class {category} has {len(members)} usable video{'s' * (len(members) != 1)}: train, val and test"
                " need one each; add videos, or leave the class out"
            )
    refuse_few_classes(classes)
    splits = Splits([], [], [])
    for members in classes.values():
        order = sorted(members, key=lambda v: hashlib.sha256(f"{seed}/{v.name}".encode()).digest())
        n_val, n_test = (max(1, round(share * len(order))) for share in (val, test))
        while n_val + n_test >= len(order):  # training keeps one: the larger part gives
            n_val, n_test = (n_val - 1, n_test) if n_val > n_test else (n_val, n_test - 1)
        splits.test.extend(order[:n_test])
        splits.val.extend(order[n_test : n_test + n_val])
        splits.train.extend(order[n_test + n_val :])
    return Splits(*(sorted(part) for part in splits))


def find_leaks(splits: Splits) -> list[Leak]:
    """Each video of a later split that an earlier one has too: by its name, or by the bytes of its sound."""
    sounds = {video: _content(video) for part in splits for video in part}
    leaks = []
    for first, second in TOGETHER:
        earlier, later = getattr(splits, first), getattr(splits, second)
        names = {video.name for video in earlier}
        of_sound = {sounds[video]: video.name for video in reversed(earlier)}
        for video in later:
            other = video.name if video.name in names else of_sound.get(sounds[video])
            if other is not None:
                leaks.append(Leak(second, video.name, first, other))
    return leaks


def check_disjoint(splits: Splits, allow: bool = False, hint: str = "remove one of each two") -> list[Leak]:
    """The videos that are in two splits: none, unless they are allowed.

    Raises InputError, naming the first of them and how many they are, and ending with `hint`.
    """
    leaks = find_leaks(splits)
    if leaks and not allow:
        raise InputError(f"{'; '.join(sentences(leaks))}: {hint}")
    return leaks


def _content(video: Video) -> bytes:
    with video.audio.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def fixed_mixtures(videos: Iterable[Video], count: int, seed: int, part: str) -> list[Mixture]:
    """`count` mixtures A, B, C, D of four different classes, for the split named `part`: val or test.

    What is heard is balanced: pairs of classes occur equally often, give or take one, and so do a class's videos.
    What is silent beside it, B beside A and D beside C, goes first by how seldom the two classes have met so.
    The first n are the same for any `count` >= n.  Raises InputError for fewer than 4 classes.
    """
    classes: dict[str, list[Video]] = {}
    for video in sorted(videos):
        classes.setdefault(video.category, []).append(video)
    refuse_few_classes(classes, f" in {part}")
    random = np.random.default_rng([seed, zlib.crc32(part.encode())])  # else val would rehearse test's classes
    heard_pairs: Counter[tuple[str, str]] = Counter()
    silent_beside: Counter[tuple[str, str]] = Counter()
    heard: Counter[str] = Counter()  # of classes and of videos, by name
    silent: Counter[str] = Counter()

    def rarest_video(category: str, uses: Counter[str]) -> Video:
        video = _rarest(classes[category], [(uses[v.name],) for v in classes[category]], random)
        uses[category] += 1
        uses[video.name] += 1
        return video

    def silent_one(sounding: str, taken: Sequence[str]) -> Video:
        free = [c for c in classes if c not in taken]
        category = _rarest(free, [(silent_beside[sounding, c], silent[c]) for c in free], random)
        silent_beside[sounding, category] += 1
        return rarest_video(category, silent)

    pairs = list(itertools.combinations(classes, 2))
    mixtures = []
    for _ in range(count):
        pair = _rarest(pairs, [(heard_pairs[p], heard[p[0]] + heard[p[1]]) for p in pairs], random)
        heard_pairs[pair] += 1
        first, second = (pair, pair[::-1])[random.integers(2)]
        b = silent_one(first, pair)
        d = silent_one(second, [*pair, b.category])
        mixtures.append(Mixture(rarest_video(first, heard), b, rarest_video(second, heard), d))
    return mixtures


def _rarest(choices: Sequence[Choice], uses: Sequence[tuple[int, ...]], random: np.random.Generator) -> Choice:
    """One of the choices that were used least, at random among equals."""
    least = min(uses)
    equal = [choice for choice, used in zip(choices, uses, strict=True) if used == least]
    return equal[random.integers(len(equal))]


def refuse_few_classes(classes: Iterable[str], where: str = "") -> None:
    """Raises InputError if no mixture can be made of videos of these classes; `where` they are: ` in val`, say."""
    names = sorted(set(classes))
    if len(names) < 4:
        raise InputError(
            f"{len(names)} classes of usable videos{where} ({', '.join(names)}): a mixture needs 4 different ones"
        )
