"""Latent captions: what is optimised, when it stops, and that no video's depends on another's."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from avsep.models.clip import FrozenCLIP
from stages.captions import describe
from tests.helpers.factories import CLIP, noise, tiny_clip

B, K = 3, CLIP["context"] - 2


def given(clip: FrozenCLIP, rows: int = B) -> tuple[Tensor, Tensor]:
    """Embeddings of pictures, and where the captions start."""
    pictures = clip.picture(noise(rows, 3, CLIP["image_size"], CLIP["image_size"], seed=0))
    return pictures, 0.1 * noise(rows, K, CLIP["text_width"], seed=1)


def described(clip: FrozenCLIP, pictures: Tensor, free: Tensor, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    settings: dict[str, Any] = {"lr": 0.1, "steps": 20, "patience": 20, "min_gain": 0.0, "loss": "sum", "keep": "best"}
    return describe(clip, pictures, free, **{**settings, **options})


def test_the_caption_comes_nearer_to_its_picture() -> None:
    clip = tiny_clip()
    pictures, free = given(clip)
    found, before, after = described(clip, pictures, free)
    assert (after > before + 0.05).all()
    torch.testing.assert_close(functional.cosine_similarity(found, pictures), after)
    torch.testing.assert_close(functional.cosine_similarity(clip.latent(free), pictures), before)
    assert not found.requires_grad


def test_no_step_at_all_keeps_the_start() -> None:
    clip = tiny_clip()
    pictures, free = given(clip)
    found, before, after = described(clip, pictures, free, steps=0)
    assert torch.equal(before, after)
    torch.testing.assert_close(found, clip.latent(free))


def test_a_step_too_far_is_not_kept() -> None:
    clip = tiny_clip()
    pictures, free = given(clip)
    found, before, after = described(clip, pictures, free, lr=1e4, steps=3)
    assert (after >= before).all()
    torch.testing.assert_close(functional.cosine_similarity(found, pictures), after)


@pytest.mark.parametrize("patience", [1, 3])
def test_a_video_whose_caption_gains_nothing_rests(patience: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tiny_clip()
    steps = []
    latent = clip.latent

    def counted(free: Tensor) -> Tensor:
        steps.append(len(free))
        return latent(free)

    monkeypatch.setattr(clip, "latent", counted)
    described(clip, *given(clip), patience=patience, min_gain=2.0, steps=100)
    assert len(steps) == 1 + patience  # the first look is no wait


def test_without_a_least_gain_any_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is none: a caption that stays where it is rests too."""
    clip = tiny_clip()
    pictures, free = given(clip)
    looks = []
    latent = clip.latent

    def counted(free: Tensor) -> Tensor:
        looks.append(len(free))
        return latent(free)

    monkeypatch.setattr(clip, "latent", counted)
    _, before, after = described(clip, pictures, free, lr=0.0, patience=3, min_gain=0.0, steps=100)
    assert len(looks) == 1 + 3 and torch.equal(before, after)
    looks.clear()
    described(clip, pictures, free, patience=3, min_gain=0.0, steps=15)
    assert len(looks) == 1 + 15, "it gains a little with each"


@pytest.mark.parametrize("options", [{}, {"loss": "mean", "lr": 0.1 * B}, {"keep": "last"}])
def test_no_row_moves_another(options: dict[str, Any]) -> None:
    """To the last bit, in a batch of the same size, whichever others still run."""
    clip = tiny_clip()
    pictures, free = given(clip, 2 * B)
    options = {"patience": 2, "min_gain": 0.02, "steps": 30, **options}
    first = described(clip, pictures[:B], free[:B], **options)
    rows = torch.tensor([0, 4, 5])
    other = described(clip, pictures[rows], free[rows], **options)
    for one, another in zip(first, other, strict=True):
        assert torch.equal(one[0], another[0])
        assert not torch.equal(one[1], another[1])


@pytest.mark.parametrize("patience", [2, None])
def test_of_the_mean_a_caption_has_its_share_of_the_rate(patience: int | None) -> None:
    """Of a batch of B, one B-th, also when some of them rest."""
    clip = tiny_clip()
    pictures, free = given(clip)
    options = {"patience": patience, "min_gain": 0.02, "steps": 5}  # rounding grows from step to step
    summed = described(clip, pictures, free, **options)
    mean = described(clip, pictures, free, loss="mean", lr=0.1 * B, **options)
    for one, other in zip(summed, mean, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    gains = []
    for loss in ("sum", "mean"):
        _, before, after = described(clip, pictures, free, loss=loss, steps=1, lr=1e-5)
        gains.append(after - before)
    assert (gains[0] > 0).all()
    torch.testing.assert_close(gains[1], gains[0] / B, rtol=0.1, atol=0)


def test_the_last_is_kept_as_published_be_it_better_or_worse() -> None:
    clip = tiny_clip()
    _, free = given(clip)
    pictures = clip.latent(free) + 0.2 * noise(B, CLIP["embedding"], seed=2)  # so near that a wide step goes past them
    best, last = (described(clip, pictures, free, keep=keep, lr=1e4, steps=1) for keep in ("best", "last"))
    assert (last[2] < best[2]).all()
    torch.testing.assert_close(functional.cosine_similarity(last[0], pictures), last[2])
    assert torch.equal(best[1], last[1])


def test_the_last_of_a_row_that_rests_is_where_it_rests() -> None:
    clip = tiny_clip()
    pictures, free = given(clip)
    rested = described(clip, pictures, free, keep="last", patience=3, min_gain=2.0, steps=100)
    stopped = described(clip, pictures, free, keep="last", patience=None, steps=3)
    for one, other in zip(rested, stopped, strict=True):
        assert torch.equal(one, other)


def test_without_patience_all_steps_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tiny_clip()
    looks: list[int] = []
    latent = clip.latent

    def counted(free: Tensor) -> Tensor:
        looks.append(len(free))
        return latent(free)

    monkeypatch.setattr(clip, "latent", counted)
    described(clip, *given(clip), lr=0.0, patience=None, steps=30)
    assert len(looks) == 1 + 30
