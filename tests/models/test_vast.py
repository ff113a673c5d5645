"""VAST's network: shapes, queries, and what depends on what."""

import pytest
import torch
from torch import nn

from avsep.models.vast import VAST, ConditionedUNet, attention_logits, visual_query
from avsep.published import vast_state
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


def test_the_published_start_is_of_all_convolutions_and_norms() -> None:
    torch.manual_seed(0)
    network = VAST(2, levels=3, channels=16, embedding=64, init_std=1e-3).unet
    kinds: dict[type, list[nn.Module]] = {}
    for layer in network.modules():
        kinds.setdefault(type(layer), []).append(layer)
    convolutions = [*kinds[nn.Conv2d], *kinds[nn.ConvTranspose2d]]
    assert len(convolutions) == 6
    for layer in convolutions:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None
        count = layer.weight.numel()
        assert layer.weight.std().item() == pytest.approx(1e-3, rel=4 / (2 * count) ** 0.5)
        assert layer.weight.mean().abs() < 4e-3 / count**0.5
        assert layer.bias.abs().max() > 0, "PyTorch's"
    scaled = [norm for norm in kinds[nn.BatchNorm2d] if isinstance(norm, nn.BatchNorm2d) and norm.affine]
    assert len(scaled) == 5 and len(kinds[nn.BatchNorm2d]) == 5 + 3
    scales = torch.cat([norm.weight.detach() for norm in scaled])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.3)
    assert all(not norm.bias.any() for norm in scaled)


def test_without_a_deviation_the_start_is_pytorchs() -> None:
    network = tiny()
    torch.manual_seed(0)
    first = nn.Conv2d(1, 4, 4)
    assert torch.equal(network.state_dict()["down.0.0.weight"], first.weight)
    assert torch.equal(network.state_dict()["down.0.1.weight"], torch.ones(4))


def test_captions_rest_until_a_phase_trains_them() -> None:
    network = VAST(2, levels=3, channels=4, embedding=16)
    assert not network.captions.requires_grad and "captions" in network.state_dict()
