"""All systems on tiny mixtures: who is asked for what, what is read how often, and that batches change nothing."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from avsep.clips import datasets
from avsep.clips.index import OBJECTS, PAIRS, SOUNDING, Video
from avsep.clips.mixtures import sample_frames
from avsep.errors import InputError
from avsep.media import frames
from avsep.models.vast import visual_query
from avsep.scoring import sources
from avsep.scoring.asking import (
    Batch,
    Outcome,
    Questions,
    confident,
    evidence_by_class,
    pair_tasks,
    sounding_probabilities,
    source_tasks,
)
from avsep.scoring.pairs import score
from avsep.systems.system import Looks, Sight, System
from avsep.systems.vast import ByPhrase, ByPicture
from tests.helpers import outcomes as tiny
from tests.helpers.factories import (
    CLASSES,
    FPS,
    RATE,
    SAMPLES,
    SPECTROGRAM,
    hear_tiny,
    tiny_reader,
    write_data,
    write_video,
)
from tests.helpers.outcomes import (
    CONFIDENCE,
    GATE_CONTROLS,
    GATES,
    GROUNDED,
    PHRASES,
    SYSTEMS,
    TRAINED,
    WRONG,
    answers,
    ask,
    asked_objects,
    mixtures_of,
    separate,
    separate_sources,
    tiny_systems,
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


@pytest.fixture(scope="module")
def systems() -> dict[str, System]:
    return tiny_systems()


@pytest.fixture(scope="module")
def outcomes(videos: list[Video], systems: dict[str, System]) -> list[Outcome]:
    return separate(videos, batch=2, systems=systems)


def the_batch(questions: Questions, videos: list[Video]) -> Batch:
    """All mixtures, in one."""
    questions.batch = 3
    [batch] = questions.batches(questions.read(pair_tasks(mixtures_of(videos))))
    return batch


# --- Outcomes


def test_every_system_on_every_mixture(videos: list[Video], outcomes: list[Outcome]) -> None:
    assert [made.number for made in outcomes] == [0, 1, 2]
    for made, mixture in zip(outcomes, mixtures_of(videos), strict=True):
        assert list(made.videos.values()) == list(mixture)
        for name, video in (("A", mixture.a), ("C", mixture.c)):
            np.testing.assert_allclose(made.references[name], tiny_reader().sound(video, 7) / 2, rtol=1e-6)
        np.testing.assert_allclose(made.mixture, made.references["A"] + made.references["C"])
        assert set(made.estimates) == set(SYSTEMS) == {*made.masks, "mixture"}
        for system, objects in made.estimates.items():
            assert set(objects) == set(asked_objects(system))
            assert all(wave.shape == (SAMPLES,) and np.isfinite(wave).all() for wave in objects.values())
        assert all(mask.shape == (16, 16) for objects in made.masks.values() for mask in objects.values())
        for said in (made.probabilities, made.solo):
            assert {s: set(p) for s, p in said.items()} == {key: set(OBJECTS) for key in GROUNDED}
        assert made.probabilities != made.solo
        assert list(made.attention) == ["trimodal_visual", "trimodal_text"]
        assert all(logits.shape == (2, 2, 2) for way in made.attention.values() for logits in way.values())
    rows, reason = score(outcomes[0], GATES, 0, CLASSES)
    assert reason is None and len(rows) == 2 * len(SYSTEMS) + 2 * len(TRAINED) + 4 * len(GATE_CONTROLS)
    gain = {row["system"]: row["si_sdri"] for row in rows if row["object"] == "A"}
    assert gain["oracle"] > 3 and gain["oracle_binary"] > 3, "the tones lie apart"


def test_a_mixture_is_heard_as_its_sources_are(outcomes: list[Outcome]) -> None:
    for made in outcomes:
        waves = {name: torch.from_numpy(wave)[None] for name, wave in made.references.items()}
        heard = hear_tiny(waves)
        np.testing.assert_allclose(made.heard, heard.log_mixture[0, 0], atol=1e-5)
        np.testing.assert_allclose(made.masks["oracle"]["A"], heard.target("A", 5.0)[0, 0], atol=1e-3)
        mask = torch.from_numpy(made.masks["cyclic"]["B"])
        expected = SPECTROGRAM.let_through(mask, torch.from_numpy(made.mixture))
        np.testing.assert_allclose(made.estimates["cyclic"]["B"], expected, atol=1e-5)


def test_a_wrong_query_is_the_silent_objects(outcomes: list[Outcome]) -> None:
    assert len(WRONG) == 4
    for made in outcomes:
        for control, system in WRONG.items():
            np.testing.assert_array_equal(made.masks[control]["A"], made.masks[system]["B"])
            np.testing.assert_array_equal(made.masks[control]["C"], made.masks[system]["D"])
            np.testing.assert_array_equal(made.estimates[control]["A"], made.estimates[system]["B"])
            assert (made.masks[control]["A"] != made.masks[system]["A"]).any()


def test_batches_change_nothing(videos: list[Video], systems: dict[str, System], outcomes: list[Outcome]) -> None:
    for one, other in zip(separate(videos, 1, systems), outcomes, strict=True):
        assert one.confidences == pytest.approx(other.confidences, abs=1e-5)
        assert one.middles == other.middles
        for said, same in ((one.probabilities, other.probabilities), (one.solo, other.solo)):
            assert {s: pytest.approx(p, abs=1e-5) for s, p in said.items()} == same
        for system, objects in one.estimates.items():
            for name, wave in objects.items():
                np.testing.assert_allclose(wave, other.estimates[system][name], atol=1e-5)
        for system, looked in one.attention.items():
            for name, logits in looked.items():
                np.testing.assert_allclose(logits, other.attention[system][name], atol=1e-3)


def test_a_system_answers_the_same_whoever_else_is_asked(videos: list[Video], outcomes: list[Outcome]) -> None:
    alone = separate(videos, 2, tiny_systems(["cyclic"]))
    for one, other in zip(alone, outcomes, strict=True):
        assert set(one.estimates) == {"mixture", "oracle", "oracle_binary", "cyclic", "cyclic_wrong_picture"}
        assert one.probabilities == {"cyclic": other.probabilities["cyclic"]}
        assert one.confidences == {} and one.attention == {}
        for system, objects in one.estimates.items():
            for name, wave in objects.items():
                np.testing.assert_array_equal(wave, other.estimates[system][name])


def test_the_middle_frame_of_each_object_is_known(outcomes: list[Outcome]) -> None:
    for made in outcomes:
        assert list(made.middles) == list(OBJECTS)
        for middle in made.middles.values():
            assert (middle.number, middle.width, middle.height) == (7, 24, 18)
            assert middle.detection is not None and middle.detection.box == (2, 1, 20, 16)


# --- What is asked


@torch.no_grad()
def test_each_kind_of_query_is_what_it_says(
    videos: list[Video], systems: dict[str, System], outcomes: list[Outcome]
) -> None:
    picture, phrase = systems["trimodal_visual"], systems["trimodal_text"]
    assert isinstance(picture, ByPicture) and isinstance(phrase, ByPhrase)
    batch, vast = the_batch(ask(systems, 3), videos), picture.network
    tokens = {}
    for video in videos:
        reader = tiny_reader(objects=False, square=True, resize=64, size=64, count=2)
        pictures = reader.pictures(video, reader.frames_around(video, reader.middle(video)))
        tokens[video.name] = picture.clip.tokens(pictures)

    def by(queries: list[Tensor]) -> list[np.ndarray]:
        masks = vast.separate(batch.heard.mixture, {"x": torch.stack(queries)})["x"]
        return [mask.numpy() for mask in masks[:, 0]]

    def made(system: str, name: str) -> list[np.ndarray]:
        return [one.masks[system][name] for one in outcomes]

    test = mixtures_of(videos)
    by_picture = by([visual_query(tokens[m.d.name][None])[0] for m in test])
    by_phrase = by([phrase.words(f"playing the {m.a.category}") for m in test])
    words = ["a fiddle" if m.c.category == "violin" else f"playing the {m.c.category}" for m in test]
    assert "a fiddle" in words
    by_synonym = by([phrase.words(one) for one in words])
    for system, name, expected in (
        ("trimodal_visual", "D", by_picture),
        ("trimodal_text", "A", by_phrase),
        ("trimodal_synonym", "C", by_synonym),
    ):
        for found, known in zip(made(system, name), expected, strict=True):
            np.testing.assert_allclose(found, known, atol=1e-4, err_msg=f"{system} {name}")
    assert not np.allclose(made("trimodal_visual", "A")[0], made("trimodal_text", "A")[0], atol=1e-4)


def test_without_synonyms_nobody_is_asked_by_them(videos: list[Video]) -> None:
    plain = replace(PHRASES, synonyms={})
    [first, *_] = separate(videos, 3, tiny_systems(["trimodal"]), plain)
    assert "trimodal_text" in first.estimates and "trimodal_synonym" not in first.estimates


def test_every_mixture_is_asked_for_every_class_and_what_matches_none(
    videos: list[Video], systems: dict[str, System], outcomes: list[Outcome]
) -> None:
    for made in outcomes:
        assert list(made.confidences) == [*(f"playing the {name}" for name in sorted(CLASSES)), "an empty beach"]
        assert all(0 < sure < 1 for sure in made.confidences.values())
    questions, tasks = ask(systems, 2), pair_tasks(mixtures_of(videos))
    system = confident(systems)
    assert system is systems["trimodal_text"]
    found, there = evidence_by_class(questions, cast(Any, system), questions.batches(questions.read(tasks)))
    assert found.shape == (len(tasks) * len(CLASSES), 3), "and not for what matches no class"
    assert there.reshape(len(tasks), -1).sum(1).tolist() == [2] * len(tasks)
    first = mixtures_of(videos)[0]
    expected = [name in (first.a.category, first.c.category) for name in PHRASES.classes]
    assert there[: len(CLASSES)].tolist() == expected
    sure = CONFIDENCE(found).reshape(len(tasks), -1)
    told = [[made.confidences[f"playing the {name}"] for name in PHRASES.classes] for made in outcomes]
    np.testing.assert_allclose(sure, told, atol=1e-5)
    again = ask(systems, 3)
    other, _ = evidence_by_class(again, cast(Any, system), again.batches(again.read(tasks)))
    np.testing.assert_allclose(found, other, atol=1e-5)


@pytest.mark.parametrize("phrase", [" ", "скрипка", "one " * 20])
def test_a_phrase_that_clip_cannot_read_is_refused(phrase: str) -> None:
    with pytest.raises(InputError, match="the phrase"):
        ask(tiny_systems(["trimodal"]), 1, replace(PHRASES, unmatched=[phrase]))


@torch.no_grad()
def test_attention_is_of_the_middle_frames_of_both_videos(
    videos: list[Video], systems: dict[str, System], outcomes: list[Outcome]
) -> None:
    questions = ask(systems, 3)
    batch = the_batch(questions, videos)
    for name in ("trimodal_visual", "trimodal_text"):
        looks = cast(Looks, systems[name])
        for sounding, silent in PAIRS:
            own = [[task.videos[silent]] for task in batch.tasks]
            mask = torch.from_numpy(np.stack([made.masks[name][sounding] for made in outcomes]))[:, None]
            alone = looks.look(batch.heard, mask, questions.seen(looks, own))
            assert alone.shape == (3, 1, 2, 2)
            for made, logits in zip(outcomes, alone, strict=True):
                np.testing.assert_allclose(made.attention[name][sounding][1:], logits, atol=1e-3)
    [seen] = questions.seen(cast(Looks, systems["trimodal_visual"]), [[videos[0]]])
    frame = tiny_reader(objects=False, square=True, resize=64, size=64).pictures(videos[0], [7])
    expected = cast(Looks, systems["trimodal_visual"]).see(frame)
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=1e-3)


def test_the_gate_is_calibrated_by_the_objects_that_sound(
    videos: list[Video], systems: dict[str, System], outcomes: list[Outcome]
) -> None:
    questions = ask(systems, 2)
    tasks = pair_tasks(mixtures_of(videos))
    found = sounding_probabilities(questions, questions.batches(questions.read(tasks)))
    expected = {s: [m.probabilities[s][x] for m in outcomes for x in SOUNDING] for s in GROUNDED}
    assert {s: sorted(p) for s, p in found.items()} == {s: pytest.approx(sorted(p)) for s, p in expected.items()}


# --- What is read


def test_a_video_that_is_silent_in_its_window_leaves_its_mixture_out(videos: list[Video]) -> None:
    root = videos[0].audio.parents[2]
    quiet = write_video(root, "harp", "quiet", seed=99, silent_until=2.5)
    told: list[tuple[int, str]] = []
    questions = ask(tiny_systems([]), 2)
    tasks = source_tasks([videos[:2], (videos[0], quiet), videos[1:3]])
    read = questions.read(tasks, lambda task, video: told.append((task.number, video.name)))
    assert [task.number for task, _ in read] == [0, 2]
    assert told == [(1, "harp/quiet")]
    assert [task.number for task, _ in questions.read(tasks)] == [0, 1, 2], "if nobody is to be told"
    pair = pair_tasks([mixtures_of([videos[0], quiet, *videos[2:4]])[0]])
    assert len(list(questions.read(pair, lambda task, video: told.append((9, video.name))))) == 1, "in sight alone"


def test_a_mixture_is_read_once_and_each_frame_decoded_once(
    videos: list[Video], systems: dict[str, System], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all systems together, with pairs and mixtures of N sources after each other."""
    windows: list[Path] = []
    decoded: list[tuple[Path, int]] = []
    read_window, read_jpeg = datasets.read_window, frames.read_jpeg

    def counted_window(path: Path, *where: Any) -> Any:
        windows.append(path)
        return read_window(path, *where)

    def counted_jpeg(path: Path, number: int) -> bytes:
        decoded.append((path, number))
        return read_jpeg(path, number)

    monkeypatch.setattr(datasets, "read_window", counted_window)
    monkeypatch.setattr(frames, "read_jpeg", counted_jpeg)
    questions = ask(systems, 2)
    pairs = pair_tasks(mixtures_of(videos))
    three = source_tasks(sources.draw(videos, 3, 4, seed=0))
    assert len(answers(questions, pairs, CONFIDENCE)) == 3
    assert len(answers(questions, three, silent=lambda task, video: None)) == 4
    sounding = [task.videos[name].audio for task in (*pairs, *three) for name in task.sounding]
    assert Counter(windows) == Counter(sounding) and len(windows) == 2 * 3 + 3 * 4
    sights = {system.sight for system in systems.values() if system.sight is not None}
    assert {sight.count for sight in sights} == {1, 2}
    shown = {
        (video.frames, number)
        for video in videos
        for sight in sights
        for number in sample_frames(7, sight.count, sight.stride, video.frame_count)
    }
    assert Counter(decoded) == Counter(shown)


def test_systems_of_one_sight_share_what_it_makes_of_a_video(
    videos: list[Video], systems: dict[str, System], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []

    def counted(system: System, prepare: Any, pictures: Tensor, phrase: str) -> Any:
        made.append((system.name, len(pictures)))
        return prepare(pictures, phrase)

    for system in systems.values():
        prepare = system.prepare
        monkeypatch.setattr(
            system, "prepare", lambda pictures, phrase, s=system, p=prepare: counted(s, p, pictures, phrase)
        )
    separate(videos, 2, systems, replace(PHRASES, synonyms={}))
    seeing = Counter(name for name, count in made if count)
    # fine-tuned, it sees with the same CLIP
    assert seeing == {"baseline": 5, "ungated": 5, "colearning": 5, "cyclic": 5, "trimodal_visual": 5}
    words = Counter(name for name, count in made if not count)
    assert {name: words[name] for name in ("trimodal_text", "finetune_text")} == {
        "trimodal_text": 5,
        "finetune_text": 5,
    }, "each class once"


def test_tasks_are_named_as_they_are_exported(videos: list[Video]) -> None:
    pair = pair_tasks(mixtures_of(videos))[2]
    assert (pair.name, pair.sounding, list(pair.videos)) == ("pairs/002", SOUNDING, list(OBJECTS))
    many = source_tasks([videos[:3], videos[1:4]])[1]
    assert (many.name, many.sounding, list(many.videos.values())) == ("sources_3/001", ("1", "2", "3"), videos[1:4])
    batch = the_batch(ask({}, 3), videos)
    assert batch.heard.names == ["pairs/000", "pairs/001", "pairs/002"] and batch.heard.starts == [0, 0, 0]
    assert torch.equal(batch.heard.wave, batch.waves["A"] + batch.waves["C"])


def test_of_n_sources_all_sound_and_nobody_looks(videos: list[Video], systems: dict[str, System]) -> None:
    [made] = separate_sources([videos[:3]], 2, systems)
    assert set(made.estimates) == {*tiny.REFERENCES, *TRAINED}, "no controls"
    assert all(set(objects) == {"1", "2", "3"} for objects in made.estimates.values())
    assert {s: set(p) for s, p in made.probabilities.items()} == {s: {"1", "2", "3"} for s in GROUNDED}
    assert made.attention == {} and made.confidences == {}
    np.testing.assert_allclose(made.references["1"], tiny_reader().sound(videos[0], 7) / 3, rtol=1e-6)


def test_an_object_without_a_detection_is_seen_whole(videos: list[Video]) -> None:
    """In every other frame nothing was detected."""
    reader = Sight("x", FPS, 1, 1, 16, square=False, whole=False).reader(RATE, SAMPLES, FPS)
    whole = Sight("x", FPS, 1, 1, 16, square=False, whole=True).reader(RATE, SAMPLES, FPS)
    assert torch.equal(reader.pictures(videos[0], [2]), whole.pictures(videos[0], [2]))
    assert not torch.equal(reader.pictures(videos[0], [7]), whole.pictures(videos[0], [7]))
