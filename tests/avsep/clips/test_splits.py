from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from avsep.clips.index import Video, video
from avsep.clips.leaks import Leak, counts, read_leaks, sentences, write_leaks
from avsep.clips.splits import Splits, check_disjoint, fixed_mixtures, split
from avsep.errors import InputError

CLASSES = [f"class_{number}" for number in range(11)]


def made(classes: list[str], each: int) -> list[Video]:
    return [video(Path("data"), category, f"{number:02d}", 24) for category in classes for number in range(each)]


def shuffled(videos: list[Video]) -> list[Video]:
    return [videos[i] for i in np.random.default_rng([1]).permutation(len(videos))]


@pytest.mark.parametrize("each", [3, 4, 5, 10, 21])
@pytest.mark.parametrize(("val", "test"), [(0.15, 0.2), (0.01, 0.01), (0.45, 0.5)])
def test_splits_are_disjoint_whole_and_stratified(each: int, val: float, test: float) -> None:
    videos = made(CLASSES, each)
    parts = split(videos, val, test, seed=0)
    assert sorted([*parts.train, *parts.val, *parts.test]) == sorted(videos)
    # val and test are rounded, at least 1; training bears both roundings
    for part, share, off in zip(parts, (1 - val - test, val, test), (2, 1, 1), strict=True):
        assert part == sorted(part)
        counts = Counter(one.category for one in part)
        assert set(counts) == set(CLASSES) and len(set(counts.values())) == 1
        assert counts[CLASSES[0]] == 1 or abs(counts[CLASSES[0]] - share * each) <= off


def test_a_split_depends_on_seed_class_and_id_alone() -> None:
    videos = made(CLASSES, 10)
    parts = split(videos, 0.15, 0.2, seed=0)
    assert split(shuffled(videos), 0.15, 0.2, seed=0) == parts
    assert split(videos, 0.15, 0.2, seed=1) != parts
    more = split(made([*CLASSES, "a_new_one", "new"], 10), 0.15, 0.2, seed=0)
    for before, after in zip(parts, more, strict=True):
        assert before == [one for one in after if "new" not in one.category]
    chosen = {tuple(one.id for one in parts.test if one.category == category) for category in CLASSES}
    assert len(chosen) > 1  # not the same ids in every class


def test_few_videos_or_classes_are_refused() -> None:
    with pytest.raises(InputError, match="class class_9 has 1 usable video:"):
        split([*made(CLASSES[:4], 5), *made(["class_9"], 1)], 0.15, 0.2, seed=0)
    with pytest.raises(InputError, match="class class_9 has 2 usable videos:"):
        split([*made(CLASSES[:4], 5), *made(["class_9"], 2)], 0.15, 0.2, seed=0)
    with pytest.raises(InputError, match="3 classes"):
        split(made(CLASSES[:3], 5), 0.15, 0.2, seed=0)
    with pytest.raises(InputError, match="3 classes"):  # hazard 12: never ends
        fixed_mixtures(made(CLASSES[:3], 5), 8, seed=0, part="test")


def test_a_video_in_two_splits_is_named(tmp_path: Path) -> None:
    videos = [video(tmp_path, "cello", name, 24) for name in "abc"]
    videos[0].audio.parent.mkdir(parents=True)
    for one in videos:
        one.audio.write_bytes(one.id.encode())
    train, val, test = ([one] for one in videos)
    assert check_disjoint(Splits(train, val, test)) == []
    with pytest.raises(InputError, match=r"^1 video is in both train and test: cello/a: remove one of each two"):
        check_disjoint(Splits(train, val, [*test, *train]))
    videos[2].audio.write_bytes(b"b")
    same = r"^1 video of test is the same recording as one of val: cello/c as cello/b: mend it"
    with pytest.raises(InputError, match=same):
        check_disjoint(Splits(train, val, test), hint="mend it")
    assert check_disjoint(Splits(train, [*val, *test], [])) == []


def test_leaks_that_are_allowed_are_all_given(tmp_path: Path) -> None:
    videos = [video(tmp_path, "cello", name, 24) for name in "abcdefg"]
    videos[0].audio.parent.mkdir(parents=True)
    for one in videos:
        one.audio.write_bytes(one.id.encode())
    videos[6].audio.write_bytes(b"a")
    splits = Splits(videos[:2], videos[2:6], [videos[0], *videos[2:]])
    leaks = check_disjoint(splits, allow=True)
    assert leaks == [
        Leak("test", "cello/a", "train", "cello/a"),
        Leak("test", "cello/g", "train", "cello/a"),
        *(Leak("test", f"cello/{name}", "val", f"cello/{name}") for name in "cdef"),
    ]
    assert counts(leaks) == {"train_val": 0, "train_test": 2, "val_test": 4}
    assert sentences(leaks) == [
        "1 video is in both train and test: cello/a",
        "1 video of test is the same recording as one of train: cello/g as cello/a",
        "4 videos are in both val and test: cello/c, cello/d, cello/e and 1 more",
    ]
    assert sentences(leaks, named=None)[2].endswith(": cello/c, cello/d, cello/e, cello/f")
    write_leaks(tmp_path / "leaks.csv", leaks)
    assert read_leaks(tmp_path / "leaks.csv") == leaks and read_leaks(tmp_path / "none.csv") == []


@pytest.mark.parametrize("text", ["", "a,b\n", "list,video,other_list,other_video\ntest,cello/a\n"])
def test_a_table_of_leaks_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "leaks.csv").write_text(text)
    with pytest.raises(InputError, match=r"leaks\.csv is no table of leaks .*: run stage index again"):
        read_leaks(tmp_path / "leaks.csv")


@pytest.mark.parametrize(("classes", "each"), [(11, 2), (4, 1), (5, 3)])
def test_mixtures_are_balanced(classes: int, each: int) -> None:
    videos = made(CLASSES[:classes], each)
    mixtures = fixed_mixtures(videos, 64, seed=0, part="test")
    assert len(mixtures) == 64
    assert all(len({one.category for one in mixture}) == 4 for mixture in mixtures)
    pairs = Counter(frozenset((m.a.category, m.c.category)) for m in mixtures)
    assert max(pairs.values()) - min(pairs.values()) <= 1 and len(pairs) == classes * (classes - 1) // 2
    heard = Counter(one for m in mixtures for one in (m.a, m.c))
    assert set(heard) == set(videos) and max(heard.values()) - min(heard.values()) <= 2
    silent = Counter(one for m in mixtures for one in (m.b, m.d))
    assert set(silent) == set(videos) and max(silent.values()) - min(silent.values()) <= 4
    roles = Counter(m.a.category for m in mixtures)
    assert len(roles) == classes  # no class is C alone


def test_mixtures_depend_on_seed_and_videos_alone() -> None:
    videos = made(CLASSES, 2)
    mixtures = fixed_mixtures(videos, 64, seed=0, part="test")
    assert fixed_mixtures(shuffled(videos), 64, seed=0, part="test") == mixtures
    assert fixed_mixtures(videos, 16, seed=0, part="test") == mixtures[:16]
    assert fixed_mixtures(videos, 64, seed=1, part="test") != mixtures
    assert fixed_mixtures(videos, 64, seed=0, part="val") != mixtures
    assert len(set(mixtures)) == 64
