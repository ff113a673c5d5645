"""The benchmarks of speed run, at a tiny size, and compare what is alike. No clock is held to anything."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avsep.clips.datasets import View
from avsep.media.frames import frame_name
from avsep.media.spectrogram import Spectrogram
from benchmarks import gpu, growth, loading, published, scoring, step
from benchmarks.step import Size

NETWORKS = {
    "resnet_width": 8,
    "sound_channels": 4,
    "unet_levels": 3,
    "unet_channels": 4,
    "unet_max_channels": 8,
    "embedding": 4,
}
TINY = Size(
    samples=4095,
    how=Spectrogram(n_fft=254, hop=128, log_bins=32, align_corners=True),
    frames=2,
    pixels=32,
    networks=NETWORKS,
)
AS_PUBLISHED = {"grounding": {}, "colearning": {"as_published": True}, "cyclic": {"as_published": True}}


@pytest.mark.parametrize("stage", list(step.OBJECTIVES))
def test_the_published_step_told_again_has_our_loss(stage: str) -> None:
    """With the published mix-ups switched on, and norms that rest."""
    given = step.batch_of(TINY, 3)
    networks = step.networks_of(TINY, stage, as_published=False)
    theirs = published.STEPS[stage](networks, given.waves, given.pictures, TINY.how)
    heard = step.hear(given.waves, TINY.how)
    found = step.OBJECTIVES[stage](networks, heard, step.see(networks, stage, given), **AS_PUBLISHED[stage])  # type: ignore[operator]
    torch.testing.assert_close(theirs, found["loss"], rtol=1e-4, atol=1e-6)


def test_the_table_of_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    step.tell_times(TINY, 2, 1, ["cyclic"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| cyclic")]
    counts = {line.split(" | ")[1]: float(line.split(" | ")[3]) for line in lines}
    assert list(counts) == ["published", "ours", "ours, features at hand"]
    step.tell_parts(TINY, 2, ["grounding"])
    assert capsys.readouterr().out.splitlines()[-1].count("|") == 6


def test_ours_multiplies_less() -> None:
    steps = step.steps_of(TINY, "cyclic", 2)
    counts = [step.multiplications(lambda run=run: step.learn(run)) for run in steps.values()]  # type: ignore[misc]
    assert counts[0] > counts[1] > counts[2] > 0


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own() -> None:
    assert step.memory(TINY, "cyclic", "ours", 1) > 0


def test_loading_beside_the_published_way(capsys: pytest.CaptureFixture[str]) -> None:
    loading.tell([(12, 22050, 2)], 1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 12 s | 2 x 22050 Hz |")


def test_both_ways_load_the_same_picture() -> None:
    """The published way's middle crop stands where a view of the middle has it."""
    with loading.written(12, loading.RATE, 1) as source:
        frame = loading.READER.kept(source.videos[0], 6)
        rows = np.load(source.detections)
        theirs = loading.published_picture(source.frames / frame_name(frame), rows[rows[:, 0] == frame])
        ours = loading.READER.picture(source.videos[0], 6, View())
    assert theirs.shape == ours.shape and abs(theirs - ours).mean() < 0.1


@pytest.mark.parametrize("way", ["float32", "bf16"])
def test_a_line_of_the_gpu_table(way: str) -> None:
    found = gpu.line(TINY, "cyclic", way, 2, torch.device("cpu"), peak=1.0, seconds=0.0)
    assert found.samples > 0 and found.arithmetic > 0 and found.waits == "not asked: no GPU"
    assert str(found).count(" | ") == 6


def test_the_longest_gap_is_between_kernels_that_do_not_overlap() -> None:
    kernels = [("b", 10.0, 20.0), ("a", 0.0, 15.0), ("d", 3021.0, 3030.0), ("c", 20.5, 21.0), ("e", 3030.0, 3031.0)]
    assert gpu.longest_gap(kernels) == gpu.Gap(3.0, "c", "d")


def test_precisions_are_put_back() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with gpu.computing("tf32", "cpu"):
        assert torch.get_float32_matmul_precision() == "high"
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_a_share_of_waiting_for_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "READER", replace(loading.READER, samples=TINY.samples, resize=36, size=32, count=2))
    assert 0 < gpu.loader_share(TINY, "cyclic", 1, torch.device("cpu"), 0, 1) < 1


def test_scoring_beside_the_published_way(capsys: pytest.CaptureFixture[str]) -> None:
    references = scoring.mixture(3000)
    estimates = scoring.given(references, 2)
    theirs, ours = (way(references, estimates, 0) for way in (scoring.published, scoring.ours))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    scoring.tell(1200, 1, 1)
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["| published", "| ours"]


def test_an_exponent_is_the_slope_of_logarithms() -> None:
    found = growth.Growth("work", "videos", (10, 100, 1000), (0.02, 2.0, 200.0), (1.0, 2.0, 3.0))
    assert found.exponent == pytest.approx(2)
    assert str(found) == "| work | videos | 10, 100, 1000 | 0.02, 2, 200 | 2.00 | 1.0, 2.0, 3.0 |"


def test_growth_is_measured_at_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "LEAST", 0.0)
    for of, memory in ((growth.sounds, True), (growth.ratios, False), (growth.spectra, False), (growth.objects, False)):
        sizes = (1000, 2000) if of is growth.spectra else (1, 2)
        found = growth.grown("work", "sizes", sizes, of, memory=memory)
        assert len(found.seconds) == 2 and (found.megabytes is not None) == memory


def test_growth_with_known_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage, name in (("extract", "take_apart"), ("detect", "look_through")):  # put back afterwards
        module = getattr(growth, stage)
        monkeypatch.setattr(module, name, getattr(module, name))
    growth.incremental.stand_in_for_ffmpeg()
    assert len(growth.videos([1, 2]).seconds) == 2
