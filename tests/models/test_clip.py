"""The frozen CLIP: its dense tokens, its latent captions, and that nothing about it moves or leaks between pictures."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from torch import Tensor, nn
from torch.nn import functional as F

from avsep.media import frames
from avsep.models import clip as module
from avsep.models.clip import END, START, FrozenCLIP, build_clip, clip_normalised
from avsep.params.sections import RN50
from tests.helpers.factories import noise

SIZE, WIDTH, EMBEDDING, CONTEXT, TEXT_WIDTH = 64, 2, 6, 8, 8


def tiny(**options: int) -> FrozenCLIP:
    torch.manual_seed(0)
    sizes: dict[str, int] = dict(image_size=SIZE, width=WIDTH, embedding=EMBEDDING, context=CONTEXT)
    sizes |= dict(text_width=TEXT_WIDTH, text_heads=2, text_layers=2)
    network = build_clip(**{**sizes, **options}, layers=[1, 1, 1, 1])
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training
            nn.init.normal_(part.get_buffer("running_mean"), std=0.1)
            nn.init.constant_(part.get_buffer("running_var"), 1.5)
            nn.init.constant_(part.weight, 1.2)
    return FrozenCLIP(network)


def openais_rn50() -> CLIP:
    """At its published size, with random weights."""
    return build_clip(**asdict(RN50))


def last_maps(frozen: FrozenCLIP, pictures: Tensor) -> Tensor:
    """What the attention pool is given, (B, C, rows, columns)."""
    seen: list[Tensor] = []
    pool = frozen.clip.visual.attnpool
    hook = pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    frozen.picture(pictures)
    hook.remove()
    return seen[0]


def each_position_alone(monkeypatch: pytest.MonkeyPatch, frozen: FrozenCLIP, pictures: Tensor) -> Tensor:
    """Tokens (B, P, Q) by the pool's own code, with an attention that is the identity; its first row is the mean's."""
    maps = last_maps(frozen, pictures)
    attend = F.multi_head_attention_forward
    positions = maps[0, 0].numel() + 1
    whole: list[Tensor] = []

    def attend_to_oneself(**named: Any) -> tuple[Tensor, Tensor | None]:
        alone = torch.full((positions, positions), -torch.inf).fill_diagonal_(0)
        out, weights = attend(**{**named, "attn_mask": alone})
        whole.append(out)
        return out, weights

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(F, "multi_head_attention_forward", attend_to_oneself)
        frozen.clip.visual.attnpool(maps)
    return whole[0][1:].transpose(0, 1)


def test_a_token_is_what_the_pool_makes_of_a_position_that_attends_to_itself_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen = tiny()
    pictures = noise(2, 3, SIZE, SIZE, seed=0)
    torch.testing.assert_close(frozen.tokens(pictures), each_position_alone(monkeypatch, frozen, pictures))


def test_shapes_and_leading_axes() -> None:
    frozen = tiny()
    assert (frozen.grid, frozen.context, frozen.text_width, frozen.embedding) == (
        (2, 2),
        CONTEXT,
        TEXT_WIDTH,
        EMBEDDING,
    )
    pictures = noise(2, 3, 3, SIZE, SIZE, seed=0)  # (B, N, 3, H, W)
    (tokens,) = frozen(pictures)
    assert tokens.shape == (2, 3, 4, EMBEDDING)
    torch.testing.assert_close(tokens[1, 2], frozen.tokens(pictures[1, 2]))
    assert frozen.picture(pictures[0]).shape == (3, EMBEDDING)


def test_positions_run_in_rows() -> None:
    """What is changed at the top right of a picture moves the second of four tokens the most."""
    frozen = tiny()
    pictures = noise(1, 3, SIZE, SIZE, seed=0)
    changed = pictures.clone()
    changed[..., 8:20, 44:56] += 3
    moved = (frozen.tokens(changed) - frozen.tokens(pictures))[0].norm(dim=1)  # (P,)
    assert int(moved.argmax()) == 1


def test_a_picture_does_not_depend_on_its_batch() -> None:
    frozen = tiny()
    nn.Sequential(frozen).train()
    pictures = noise(5, 3, SIZE, SIZE, seed=0)
    pictures[1:] *= 10
    torch.testing.assert_close(frozen.tokens(pictures)[:1], frozen.tokens(pictures[:1]))
    torch.testing.assert_close(frozen.picture(pictures)[:1], frozen.picture(pictures[:1]))


def test_it_stays_frozen_while_the_rest_trains() -> None:
    frozen = tiny()
    assert not any(part.training for part in frozen.modules()), "from the start"
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    trained = nn.Sequential(frozen).train()
    pictures = noise(4, 3, SIZE, SIZE, seed=0).requires_grad_()
    ids = torch.tensor([[START, 5, END, *[0] * (CONTEXT - 3)]])
    seen = (frozen.tokens(pictures), frozen.picture(pictures), frozen.text(ids))
    assert trained.training and not any(part.training for part in frozen.modules())
    assert not any(value.requires_grad for value in (*seen, *frozen.parameters()))
    assert all(torch.equal(before[name], value) for name, value in frozen.state_dict().items())


def test_pictures_come_as_the_other_networks_see_them() -> None:
    assert pytest.approx(frames.MEAN.tolist()) == module.IMAGENET_MEAN
    assert pytest.approx(frames.STD.tolist()) == module.IMAGENET_STD
    plain = noise(2, 3, 4, 4, seed=0)  # as RGB in 0..1
    given = (plain - torch.from_numpy(frames.MEAN)[:, None, None]) / torch.from_numpy(frames.STD)[:, None, None]
    mean, std = (torch.tensor(values)[:, None, None] for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    torch.testing.assert_close(clip_normalised(given), (plain - mean) / std)
    frozen = tiny()
    pictures = noise(2, 3, SIZE, SIZE, seed=1)
    with torch.no_grad():
        expected = frozen.clip.encode_image(clip_normalised(pictures))
    torch.testing.assert_close(frozen.picture(pictures), expected)


def test_a_latent_caption_of_a_phrases_tokens_is_the_phrase() -> None:
    """One that fills the context, since a latent caption does."""
    frozen = tiny()
    words = torch.randint(0, START, (3, CONTEXT - 2), generator=torch.Generator().manual_seed(0))
    ends = torch.tensor([START, END]).expand(3, 2)
    ids = torch.cat([ends[:, :1], words, ends[:, 1:]], dim=1)  # (B, context)
    free = frozen.clip.token_embedding(words)  # (B, K, text_width)
    torch.testing.assert_close(frozen.latent(free), frozen.text(ids))


def test_a_latent_caption_learns_and_the_network_does_not() -> None:
    frozen = tiny()
    free = noise(2, CONTEXT - 2, TEXT_WIDTH, seed=0).requires_grad_()
    out = frozen.latent(free)
    assert out.shape == (2, EMBEDDING)
    out[0].sum().backward()
    assert free.grad is not None and free.grad[0].abs().min() > 0 and not free.grad[1].any()
    assert all(parameter.grad is None for parameter in frozen.parameters())


def test_openais_rn50_has_these_sizes() -> None:
    """Shapes only: a network without memory."""
    with torch.device("meta"):
        frozen = FrozenCLIP(openais_rn50())
        assert sum(parameter.numel() for parameter in frozen.parameters()) == 102_007_137  # as published
        assert (frozen.grid, frozen.context, frozen.text_width, frozen.embedding) == ((7, 7), 77, 512, 1024)
        assert frozen(torch.empty(2, 3, 3, 224, 224)).tokens.shape == (2, 3, 49, 1024)
        assert frozen.latent(torch.empty(2, 75, 512)).shape == (2, 1024)


@pytest.mark.slow
def test_openais_rn50_gives_its_tokens_and_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the music profile at its real size, on random weights."""
    torch.manual_seed(0)
    frozen = FrozenCLIP(openais_rn50())
    pictures = noise(2, 3, 224, 224, seed=0)
    tokens = frozen.tokens(pictures)
    assert tokens.shape == (2, 49, 1024)
    torch.testing.assert_close(tokens, each_position_alone(monkeypatch, frozen, pictures))
    free = noise(2, 75, 512, seed=1).requires_grad_()
    F.cosine_similarity(frozen.latent(free), frozen.picture(pictures)).sum().backward()
    assert free.grad is not None and free.grad.abs().amax((1, 2)).min() > 0
