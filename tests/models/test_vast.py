"""VAST's network: shapes, queries, and what depends on what."""

import pytest
import torch

from avsep.published import vast_state
from models.vast import VAST, ConditionedUNet, attention_logits, visual_query
from tests.golden import compute
from tests.helpers.factories import noise


def tiny() -> ConditionedUNet:
    torch.manual_seed(0)
    return ConditionedUNet(levels=3, channels=4, max_channels=16).eval()


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 3])
def test_a_mask_for_each_clip_and_query(batch: int) -> None:
    network, log_mixture = tiny(), noise(batch, 1, 16, 32, seed=0)
    maps = network.encode(log_mixture)
    assert [tuple(level.shape[1:]) for level in maps] == [(4, 8, 16), (8, 4, 8), (16, 2, 4)]
    queries = noise(batch, 16, seed=1), noise(batch, 16, seed=2)
    masks = [network.decode(maps, query) for query in queries]
    for mask in masks:
        assert mask.shape == log_mixture.shape
        assert mask.min() >= 0 and mask.max() <= 1
    assert not torch.allclose(masks[0], masks[1]), "the query is not heard"
    for b in range(batch):  # each clip by its own query
        alone = network.decode(network.encode(log_mixture[b : b + 1]), queries[0][b : b + 1])
        torch.testing.assert_close(alone, masks[0][b : b + 1], rtol=1e-4, atol=1e-5)


def test_the_published_size() -> None:
    with torch.device("meta"):
        network = ConditionedUNet()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(134.1e6, abs=0.05e6)
    assert network.embed(torch.empty(2, 1, 256, 256, device="meta")).shape == (2, 1024)


def test_an_innermost_map_that_cannot_meet_the_query_is_refused() -> None:
    with pytest.raises(ValueError, match="end at 16, not at 64"):
        ConditionedUNet(levels=3, channels=4, max_channels=64)


def test_a_visual_query_is_the_maximum_over_frames_and_positions() -> None:
    tokens = noise(2, 3, 49, 8, seed=0)
    expected = torch.stack([clip.flatten(0, 1).max(0).values for clip in tokens])
    torch.testing.assert_close(visual_query(tokens), expected)


def test_attention_is_the_scaled_cosine_with_each_position() -> None:
    tokens = noise(2, 3, 5, 8, seed=0)
    logits = attention_logits(7 * tokens[:, 1, 2], tokens)  # whatever its length
    assert logits.shape == (2, 3, 5)
    torch.testing.assert_close(logits[:, 1, 2], torch.full((2,), 100.0))
    one, other = tokens[0, 0, 0], tokens[0, 1, 2]
    cosine = (one @ other) / (one.norm() * other.norm())
    torch.testing.assert_close(logits[0, 0, 0], 100 * cosine)


def test_published_names_have_their_places() -> None:
    shapes = compute.published_shapes(compute.HERE / "vast_align_corners_true.npz")
    published = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in ConditionedUNet().state_dict().items()}
    assert {name: tuple(value.shape) for name, value in vast_state(published).items()} == ours
    with pytest.raises(KeyError):
        vast_state({"audionet_midlayer1.0.weight": torch.empty(1)})


def test_statistics_of_separated_sounds_are_their_own() -> None:
    """What is separated must not move the norms by which mixtures are separated."""
    network = tiny().train()
    names = ["down.1.1.running_mean", "separated_norms.1.running_mean"]
    before = {name: network.state_dict()[name].clone() for name in names}
    network.embed(noise(4, 1, 16, 32, seed=0))
    after = network.state_dict()
    assert torch.equal(after[names[0]], before[names[0]])
    assert not torch.equal(after[names[1]], before[names[1]])
    network.encode(noise(4, 1, 16, 32, seed=1))
    assert not torch.equal(network.state_dict()[names[0]], before[names[0]])


@torch.no_grad()
def test_a_separated_sound_is_encoded_as_the_mixture_would_be() -> None:
    network, sound = tiny(), noise(2, 1, 16, 32, seed=0)
    torch.testing.assert_close(network.embed(sound), network.encode(sound)[-1].mean((2, 3)))


@torch.no_grad()
def test_queries_together_give_what_each_gives_alone() -> None:
    torch.manual_seed(0)
    networks, mixture = VAST(2, levels=3, channels=4, embedding=16).eval(), noise(2, 1, 16, 32, seed=0).abs()
    queries = {name: noise(2, 16, seed=i) for i, name in enumerate("xy")}
    masks = networks.separate(mixture, queries)
    for name, query in queries.items():
        torch.testing.assert_close(masks[name], networks.separate(mixture, {name: query})[name])


@torch.no_grad()
def test_a_closed_mask_leaves_silence_or_as_published_log_one() -> None:
    torch.manual_seed(0)
    networks, mixture = VAST(2, levels=3, channels=4, embedding=16).eval(), noise(2, 1, 16, 32, seed=0).abs()
    closed, everything = torch.zeros_like(mixture), torch.ones_like(mixture)
    silence, one = torch.full_like(mixture, 1e-10), torch.ones_like(mixture)
    torch.testing.assert_close(networks.embed(mixture, closed, "linear"), networks.unet.embed(silence.log()))
    torch.testing.assert_close(networks.embed(mixture, closed, "log"), networks.unet.embed(one.log()))
    for masked in ("linear", "log"):
        torch.testing.assert_close(networks.embed(mixture, everything, masked), networks.unet.embed(mixture.log()))
