"""Samples are a function of (seed, epoch, index), whoever loads them, in what order, in how many processes."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avsep.clips import mixtures
from avsep.clips.datasets import AUDIBLE, ClipReader, EpochSampler, FixedMixtures, TrainingMixtures, View
from avsep.clips.index import OBJECTS, SOUNDING, Mixture, Video
from avsep.errors import InputError
from avsep.media.frames import normalise, read_frame
from avsep.models.resnet import FrozenFrames
from avsep.training import data
from avsep.training.data import frozen_features
from tests.helpers.factories import CLASSES, FPS, RATE, SAMPLES, SIZE, WIDTH, tiny_reader, write_data, write_video

Sample = dict[str, Any]
REPEATS = 3


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Video]]:
    return write_data(tmp_path_factory.mktemp("datasets") / "data")


def training(videos: list[Video], **options: Any) -> TrainingMixtures:
    settings: dict[str, Any] = dict(
        heard=SOUNDING, seen=OBJECTS, seed=0, stage="cyclic", repeats=REPEATS, gain=(0.5, 1.5), augment="video"
    )
    reader = options.pop("reader", tiny_reader(count=2))
    return TrainingMixtures(videos, reader, **{**settings, **options})


def tensors(sample: Sample) -> dict[str, Tensor]:
    """All of a sample's or batch's tensors, by name."""
    found = {f"waves/{name}": wave for name, wave in sample["waves"].items()}
    found.update({f"pictures/{name}": pictures for name, pictures in sample.get("pictures", {}).items()})
    for name, features in sample.get("features", {}).items():
        found.update({f"features/{name}/{i}": part for i, part in enumerate(features)})
    return found


def assert_equal(a: Sample, b: Sample) -> None:
    first, second = tensors(a), tensors(b)
    assert first.keys() == second.keys()
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []


# --- Training


def test_a_sample_has_what_is_heard_and_what_is_seen(splits: dict[str, list[Video]]) -> None:
    data = training(splits["train"])
    assert len(data) == len(CLASSES) * REPEATS
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors(data[0, 0]).items()}
    waves = {f"waves/{name}": (SAMPLES,) for name in SOUNDING}
    assert shapes == {**waves, **{f"pictures/{name}": (2, 3, SIZE, SIZE) for name in OBJECTS}}
    assert all(tensor.dtype == torch.float32 for tensor in tensors(data[0, 0]).values())
    fewer = training(splits["train"], seen=("A", "C"))[0, 0]
    assert set(fewer["pictures"]) == {"A", "C"}


def test_a_sample_is_the_same_whatever_was_asked_for_before(splits: dict[str, list[Video]]) -> None:
    in_order, other = training(splits["train"]), training(splits["train"])
    expected = {index: in_order[0, index] for index in range(6)}
    for index in (4, 0, 5, 2):
        other[1, index]
        assert_equal(other[0, index], expected[index])


def test_epochs_indices_and_seeds_differ(splits: dict[str, list[Video]]) -> None:
    data = training(splits["train"])
    first = tensors(data[0, 0])["waves/A"]
    n = len(splits["train"])  # the next visit to the same video as A
    for other in (data[1, 0], data[0, n], training(splits["train"], seed=1)[0, 0]):
        assert not torch.equal(tensors(other)["waves/A"], first)


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_batches(splits: dict[str, list[Video]], workers: int) -> None:
    data = training(splits["train"])
    sampler = EpochSampler(len(data), seed=0, stage="cyclic")
    sampler.set_epoch(3)
    load = partial(DataLoader[Sample], data, 4, sampler=sampler)
    alone, together = list(load()), list(load(num_workers=workers))
    assert len(alone) == 4
    for a, b in zip(alone, together, strict=True):
        assert_equal(a, b)


def test_an_epoch_visits_each_video_as_a_in_turn_with_three_other_classes(
    splits: dict[str, list[Video]], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Mixture] = []
    draw = mixtures.draw_partners

    def noted(*args: Any) -> Mixture:
        drawn.append(draw(*args))
        return drawn[-1]

    monkeypatch.setattr(mixtures, "draw_partners", noted)
    data = training(splits["train"])
    for index in range(len(data)):
        data[0, index]
    assert [m.a for m in drawn] == splits["train"] * REPEATS
    assert all(len({v.category for v in m}) == 4 for m in drawn)
    assert len({m[1:] for m in drawn}) > 5


def test_what_is_heard_does_not_depend_on_what_is_seen(splits: dict[str, list[Video]]) -> None:
    ccol = training(splits["train"])
    alone = training(splits["train"], seen=SOUNDING, reader=tiny_reader(objects=False, count=2))
    for index in range(len(ccol)):
        a, b = ccol[2, index], alone[2, index]
        assert all(torch.equal(a["waves"][name], b["waves"][name]) for name in SOUNDING)


def test_each_stage_draws_its_own_mixtures(splits: dict[str, list[Video]]) -> None:
    one, other = training(splits["train"], stage="colearning"), training(splits["train"], stage="cyclic")
    same = [torch.equal(one[0, i]["waves"]["C"], other[0, i]["waves"]["C"]) for i in range(len(one))]
    assert not any(same)
    assert list(EpochSampler(50, 0, "colearning")) != list(EpochSampler(50, 0, "cyclic"))


def test_views_are_drawn_for_each_video_or_once(
    splits: dict[str, list[Video]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same video as all four objects shows whether its views differ."""
    video = splits["train"][0]
    monkeypatch.setattr(mixtures, "draw_partners", lambda *_: Mixture(video, video, video, video))
    monkeypatch.setattr(TrainingMixtures, "_centre", lambda *_: 6)

    def kinds(augment: str) -> int:
        pictures = training(splits["train"], augment=augment)[0, 0]["pictures"]
        return len({pictures[name].numpy().tobytes() for name in OBJECTS})

    assert (kinds("video"), kinds("sample"), kinds("none")) == (4, 1, 1)


def test_jitter_hears_any_moment_of_the_centre_frame(
    splits: dict[str, list[Video]], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[float] = []
    read = ClipReader.sound

    def sound(reader: ClipReader, video: Video, frame: int, within: float = 0.5) -> Any:
        heard.append(within)
        return read(reader, video, frame, within)

    monkeypatch.setattr(ClipReader, "sound", sound)
    plain, jittered = training(splits["train"]), training(splits["train"], jitter=True)
    for index in range(len(plain)):
        plain[0, index]
    assert set(heard) == {0.5}
    heard.clear()
    for index in range(len(jittered)):
        jittered[0, index]
    assert len(set(heard)) == len(heard) and 0 <= min(heard) < 0.2 and 0.8 < max(heard) < 1


def test_a_reader_of_fewer_frames_sees_those_in_the_middle_of_their_time(splits: dict[str, list[Video]]) -> None:
    """Of FPS = 4 frames a second one: the 12 kept ones give 3, and each is heard where it would be among them alone."""
    video = splits["train"][0]
    every, one = tiny_reader(count=3), tiny_reader(fps=1, count=3)
    assert (one.frame_count(video), one.frames_around(video, 2)) == (3, [1, 2, 3])
    assert [one.kept(video, frame) for frame in (1, 2, 3)] == [2, 6, 10]
    assert np.array_equal(one.picture(video, 2), every.picture(video, 6))
    assert np.array_equal(one.sound(video, 2), tiny_reader(fps=1, kept_fps=1).sound(video, 2))
    assert one.middle(video) == 2


def test_gains_are_drawn_for_each_source(splits: dict[str, list[Video]]) -> None:
    data = partial(training, splits["train"], augment="none")
    plain, gained = data(gain=(1.0, 1.0)), data(gain=(0.5, 1.5))
    ratios = []
    for index in range(len(plain)):
        one, other = plain[0, index]["waves"], gained[0, index]["waves"]
        for name in SOUNDING:
            loudest = one[name].abs().argmax()
            ratio = float(other[name][loudest] / one[name][loudest])
            torch.testing.assert_close(other[name], ratio * one[name], rtol=0, atol=1e-6)
            ratios.append(ratio)
    assert 0.5 <= min(ratios) < 0.7 and 1.3 < max(ratios) <= 1.5
    assert len({round(ratio, 4) for ratio in ratios}) == len(ratios)


def test_a_gain_is_clipped_at_full_scale_before_the_mixture(splits: dict[str, list[Video]]) -> None:
    sample = training(splits["train"], gain=(100.0, 100.0))[0, 0]
    assert all(wave.abs().max() == 0.5 for wave in sample["waves"].values())


def test_a_samples_frames_are_cropped_alike(splits: dict[str, list[Video]], monkeypatch: pytest.MonkeyPatch) -> None:
    views: list[tuple[str, View | None]] = []
    reader = tiny_reader(count=3)
    picture = type(reader).picture

    def noted(self: Any, video: Video, frame: int, view: View | None = None, *how: Any) -> np.ndarray:
        views.append((video.name, view))
        return picture(self, video, frame, view, *how)

    monkeypatch.setattr(type(reader), "picture", noted)
    data = training(splits["train"], reader=reader)
    for index in range(4):
        views.clear()
        data[0, index]
        assert len(views) == 12 and len(set(views)) == 4, "one view of each video"
    training(splits["train"], reader=reader, augment="none")[0, 0]
    assert views[-1][1] is None


def test_silent_windows_are_drawn_again(tmp_path: Path) -> None:
    """Of 3 s the first 1.5 s are silent: half of the windows drawn would be."""
    videos = [write_video(tmp_path, c, f"{c}_0", seed=i, silent_until=1.5) for i, c in enumerate(CLASSES)]
    data = training(videos, seen=())
    centre = mixtures.centre_frame
    random = np.random.default_rng(0)
    levels = [data.reader.sound(videos[0], centre(12, FPS, 1, 1, random)).std() for _ in range(30)]
    assert min(levels) < AUDIBLE, "there are silent windows to draw"
    for index in range(len(data)):
        assert all(wave.square().mean().sqrt() > AUDIBLE / 4 for wave in data[0, index]["waves"].values())


def test_a_video_that_is_silent_wherever_it_is_drawn_gives_its_loudest_window(tmp_path: Path) -> None:
    videos = [write_video(tmp_path, c, f"{c}_0", seed=i, silent_until=99) for i, c in enumerate(CLASSES)]
    sample = training(videos, seen=())[0, 0]
    assert not sample["waves"]["A"].any()


# --- Fixed mixtures


def test_fixed_mixtures_sound_around_the_middle_frame(splits: dict[str, list[Video]]) -> None:
    reader = tiny_reader(count=3)
    a, b, c, d = splits["val"][:4]
    sample = FixedMixtures([Mixture(a, b, c, d)], reader, heard=SOUNDING, seen=OBJECTS)[0]
    assert reader.middle(a) == 7  # of 12 frames
    for name, video in (("A", a), ("C", c)):
        np.testing.assert_allclose(sample["waves"][name].numpy(), reader.sound(video, 7) / 2, rtol=1e-6)
    for name, video in zip(OBJECTS, (a, b, c, d), strict=True):
        expected = torch.stack([torch.from_numpy(reader.picture(video, frame)) for frame in (6, 7, 8)])
        assert torch.equal(sample["pictures"][name], expected)


def test_only_mixtures_in_which_every_heard_video_sounds_are_kept(tmp_path: Path) -> None:
    videos = [
        write_video(tmp_path, name, name, seed=i, silent_until=3.0 * (name == "a")) for i, name in enumerate("abcdef")
    ]
    a, b, c, d, e, f = videos
    listed = [Mixture(b, c, d, e), Mixture(a, b, c, d), Mixture(b, a, c, d), Mixture(c, d, a, b), Mixture(f, e, d, a)]
    mixtures = FixedMixtures(listed, tiny_reader(), heard=SOUNDING, seen=OBJECTS, features={})
    kept = mixtures.only_audible()
    assert list(kept.mixtures) == [listed[0], listed[2], listed[4]], "who is only seen may be silent"
    assert (kept.reader, kept.heard, kept.seen) == (mixtures.reader, SOUNDING, OBJECTS)
    assert kept.features is mixtures.features and len(mixtures) == 5


def test_a_window_is_around_its_frames_time(splits: dict[str, list[Video]]) -> None:
    reader = tiny_reader()
    video = splits["train"][0]
    whole = tiny_reader(samples=RATE * 3).sound(video, 6)  # its middle is at (6 - 0.5) / 4 s
    window = reader.sound(video, 6)
    middle = (RATE * 3) // 2
    np.testing.assert_array_equal(window, whole[middle - SAMPLES // 2 :][:SAMPLES])


# --- Pictures


def test_an_object_is_cropped_to_its_detection(splits: dict[str, list[Video]]) -> None:
    video, reader = splits["train"][0], tiny_reader(size=15, resize=15)
    picture = read_frame(video.frames, 1)
    box = (2, 1, 20, 16)  # 18 x 15: the middle square is 15 x 15
    x1 = box[0] + 1.5
    square = picture.resize((15, 15), resample=3, box=(x1, 1, x1 + 15, 16))
    np.testing.assert_allclose(reader.picture(video, 1), normalise(np.asarray(square)), atol=1e-6)


def test_an_object_is_seen_whole_in_the_square_around_it(splits: dict[str, list[Video]]) -> None:
    video, reader = splits["train"][0], tiny_reader(size=18, resize=18, square=True)
    around = read_frame(video.frames, 1).crop((2, 0, 20, 18))  # of the box 2, 1, 20, 16 in 24 x 18 pixels
    np.testing.assert_allclose(reader.picture(video, 1), normalise(np.asarray(around)), atol=1e-6)


def test_without_a_detection_or_when_told_so_all_is_seen(splits: dict[str, list[Video]]) -> None:
    video = splits["train"][0]
    objects, whole = tiny_reader(), tiny_reader(objects=False)
    assert np.array_equal(objects.picture(video, 2), whole.picture(video, 2)), "frame 2 has no detection"
    assert not np.array_equal(objects.picture(video, 1), whole.picture(video, 1))


def test_features_that_exceed_the_memory_are_refused_before_they_fill_it(
    splits: dict[str, list[Video]], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, reader = FrozenFrames(WIDTH), tiny_reader()
    wanted = [(splits["train"][0], frame) for frame in (1, 2, 3)]
    need = 3 * 4 * 8 * WIDTH * 2  # frames, bytes, channels of the vector and of a map of one position
    monkeypatch.setattr(data, "physical_memory", lambda: need)
    frozen_features(frames, reader, wanted, "cpu", batch=2)
    monkeypatch.setattr(data, "physical_memory", lambda: need - 1)
    with pytest.raises(InputError, match=r"features of 3 frames take .* vast\.cache or baseline\.cache\) to false"):
        frozen_features(frames, reader, wanted, "cpu", batch=2)
    monkeypatch.setattr(data, "physical_memory", lambda: 2 * need - 1)
    frozen_features(frames, reader, wanted, "cpu", batch=2)
    with pytest.raises(InputError, match=r"in 2 processes"):
        frozen_features(frames, reader, wanted, "cpu", devices=2, batch=2)


def test_features_are_those_of_the_pictures(splits: dict[str, list[Video]]) -> None:
    torch.manual_seed(0)
    frames, reader = FrozenFrames(WIDTH), tiny_reader(count=2)
    wanted = [(video, frame) for video in splits["train"] for frame in range(1, video.frame_count + 1)]
    features = frozen_features(frames, reader, [*wanted, wanted[0]], "cpu", batch=7)
    assert set(features) == {(video.name, frame) for video, frame in wanted}
    pictures = training(splits["train"], reader=reader, augment="none")
    computed = training(splits["train"], reader=reader, augment="none", features=features)
    for index in range(4):
        a, b = pictures[1, index], computed[1, index]
        assert "pictures" not in b
        assert all(torch.equal(a["waves"][name], b["waves"][name]) for name in SOUNDING)
        for name in OBJECTS:
            vector, maps = b["features"][name]
            seen = frames(a["pictures"][name])
            torch.testing.assert_close(vector, seen.vector)
            torch.testing.assert_close(maps, seen.map)


# --- EpochSampler


def test_an_epochs_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        sampler = EpochSampler(20, seed, "cyclic")
        sampler.set_epoch(epoch)
        return list(sampler)

    assert sorted(order(0, 2)) == [(2, index) for index in range(20)]
    assert order(0, 2) == order(0, 2)
    assert [i for _, i in order(0, 2)] != [i for _, i in order(0, 3)]
    assert [i for _, i in order(0, 2)] != [i for _, i in order(1, 2)]


@pytest.mark.parametrize(("length", "processes"), [(20, 4), (23, 4)])
def test_processes_share_an_epoch(length: int, processes: int) -> None:
    samplers = [EpochSampler(length, 0, "cyclic", rank, processes) for rank in range(processes)]
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])} == {length // processes}
    together = [item for share in shares for item in share]
    assert len(set(together)) == len(together) == length // processes * processes
    assert set(together) <= {(0, index) for index in range(length)}
