"""CCoL's networks against their formulas (docs/ccol.md: Networks)."""

import itertools
import math

import pytest
import torch
from torch import nn

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.models.ccol import CCoL, Grounding, Separation, SoundEncoder, Synthesizer
from avsep.models.resnet import FrameFeatures
from avsep.models.ungated import Ungated
from tests.helpers.factories import UNET, WIDTH, noise, tiny_ccol, tiny_heard, tiny_seen


def test_synthesizer_is_the_formula() -> None:
    network = Synthesizer(3)
    assert network.scale.tolist() == [1, 1, 1]
    assert network.bias.tolist() == [0]
    scale = [0.5, -1.0, 2.0]
    with torch.no_grad():
        network.scale.copy_(torch.tensor(scale))
        network.bias.fill_(0.3)
    v, s = noise(2, 2, 3, seed=0), noise(2, 3, 4, 5, seed=1)
    masks = network(v, s)
    assert masks.shape == (2, 2, 4, 5)
    for b, o, f, t in itertools.product(range(2), range(2), range(4), range(5)):
        total = sum(scale[k] * float(v[b, o, k]) * float(s[b, k, f, t]) for k in range(3)) + 0.3
        assert masks[b, o, f, t].item() == pytest.approx(1 / (1 + math.exp(-total)), abs=1e-6)


def test_an_object_is_seen_as_the_maximum_over_frames_and_positions() -> None:
    network = Separation(6, levels=3, channels=2, max_channels=4, embedding=4)
    maps = noise(2, 4, 3, 6, 5, 5, seed=0)
    for o in range(4):
        visual = torch.stack([network.visual(maps[:, o, n]) for n in range(3)])  # (N, B, K, h, w)
        torch.testing.assert_close(network.query(maps)[:, o], visual.amax(0).amax((-2, -1)))
    with torch.no_grad():
        masks = network(noise(2, 1, 8, 8, seed=1), {name: maps[:, o] for o, name in enumerate(OBJECTS)})
        sounds = network.unet(noise(2, 1, 8, 8, seed=1))
        expected = network.synthesizer(network.query(maps[:, 1:2]).sigmoid(), sounds)
    torch.testing.assert_close(masks["B"], expected)


@pytest.mark.parametrize("kind", [CCoL, Ungated])
def test_queries_start_apart(kind: type[CCoL | Ungated]) -> None:
    torch.manual_seed(0)
    networks = kind(WIDTH, **UNET, query_std=2.0)
    pictures = noise(24, 3, 32, 32, seed=0)
    networks.start(pictures)
    maps = networks.frames(pictures).map
    torch.testing.assert_close(maps.mean((0, 2, 3)), torch.zeros(8 * WIDTH), rtol=0, atol=1e-4)
    queries = networks.separation.query(maps[:, None, None]).squeeze(1)
    torch.testing.assert_close(queries.mean(0), torch.zeros(queries.shape[1]), rtol=0, atol=1e-3)
    torch.testing.assert_close(queries.std(0), torch.full((queries.shape[1],), 2.0), rtol=1e-3, atol=0)
    again = kind(WIDTH, **UNET, query_std=2.0)
    again.load_state_dict(networks.state_dict())  # what was measured is kept with the weights
    assert torch.equal(again.frames(pictures).map, maps)


def test_without_a_deviation_the_start_is_pytorchs() -> None:
    networks = tiny_ccol()
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    networks.start(noise(4, 3, 32, 32, seed=0))
    assert all(torch.equal(before[name], value) for name, value in networks.state_dict().items())


def test_sound_encoder_is_a_vgg_with_a_global_maximum() -> None:
    with torch.device("meta"):
        network = SoundEncoder()
        assert network(torch.empty(2, 1, 256, 256)).shape == (2, 512)
    widths = [(1, 64), (64, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    assert sum(p.numel() for p in network.parameters()) == sum(9 * i * o + o for i, o in widths)
    small = SoundEncoder(2)
    sound = noise(1, 1, 16, 32, seed=0)
    torch.testing.assert_close(small(sound), small.features(sound).flatten(2).max(2).values)


def test_sound_encoder_takes_each_maximum_after_the_relu() -> None:
    """As published; the layers stand in the faster order."""
    network, sound = SoundEncoder(2), noise(2, 1, 16, 32, seed=0)
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    x = sound
    for number, convolution in enumerate(convolutions):
        x = convolution(x).relu()
        if number not in (2, 4):  # the first convolutions of the last two blocks
            x = nn.functional.max_pool2d(x, 2)
    torch.testing.assert_close(network(sound), x.amax((-2, -1)))


def test_grounding_head_is_the_formula() -> None:
    torch.manual_seed(0)
    head = Grounding(frame_channels=5, sound_channels=1, head_std=None)
    sound, frames = noise(2, 8, seed=0), noise(2, 3, 5, seed=1)
    x = torch.cat([sound, frames.max(1).values], 1)
    for layer in (head.fc1, head.fc2):
        x = torch.relu(x @ layer.weight.T + layer.bias)
    expected = 2 * (x @ head.fc3.weight.T + head.fc3.bias)
    torch.testing.assert_close(head(sound, frames), expected)
    torch.testing.assert_close(head(sound, frames.flip(1)), expected)  # whatever the frames' order


def test_the_published_start_starves_the_sound_encoder_and_ours_does_not() -> None:
    """Hazard 7: its first gradients lie below the 1e-8 that Adam adds to them."""
    sound, frames = noise(4, 1, 32, 32, seed=0).abs(), noise(4, 2, 32, seed=1)
    steepest = {}
    for head_std in (1e-4, None):
        torch.manual_seed(0)
        head = Grounding(32, 4, head_std)
        head(head.sound(sound), frames)[:, 0].sum().backward()
        convolution = head.sound.features[0]
        assert isinstance(convolution, torch.nn.Conv2d) and convolution.weight.grad is not None
        steepest[head_std] = convolution.weight.grad.abs().max().item()
        if head_std is not None:
            assert head.fc1.weight.std().item() == pytest.approx(head_std, rel=0.05)
    assert 0 < steepest[1e-4] < 1e-8
    assert steepest[None] > 1e-3


def test_grounding_by_name_encodes_each_sound_on_its_own() -> None:
    networks = tiny_ccol()
    heard, seen = tiny_heard(3), tiny_seen(networks, 3)
    g = networks.ground(heard.log_sounds, seen)
    for sound, log_magnitude in heard.log_sounds.items():
        for name in OBJECTS:
            alone = networks.grounding(networks.grounding.sound(log_magnitude), seen[name].vector)
            torch.testing.assert_close(g(sound, name), alone)
            torch.testing.assert_close(g.probability(sound, name), alone.softmax(1)[:, 0])


def test_masks_are_between_0_and_1_and_each_depends_on_its_own_object() -> None:
    networks = tiny_ccol().eval()
    heard, seen = tiny_heard(2), tiny_seen(networks, 2)
    masks = networks.separate(heard.log_mixture, seen)
    assert set(masks) == set(OBJECTS)
    for mask in masks.values():
        assert mask.shape == heard.mixture.shape
        assert mask.min() > 0 and mask.max() < 1
    other = {**seen, "B": FrameFeatures(seen["B"].vector, seen["B"].map + noise(*seen["B"].map.shape, seed=9))}
    moved = networks.separate(heard.log_mixture, other)
    assert not torch.equal(moved["B"], masks["B"])
    assert all(torch.equal(moved[name], masks[name]) for name in "ACD")


def test_sound_of_pixels_separates_as_ccol_with_the_same_weights() -> None:
    networks = tiny_ccol().eval()
    baseline = Ungated(WIDTH, **UNET).eval()
    baseline.load_state_dict({k: v for k, v in networks.state_dict().items() if not k.startswith("grounding.")})
    heard, seen = tiny_heard(2), tiny_seen(networks, 2)
    two = {name: seen[name] for name in SOUNDING}
    masks = networks.separate(heard.log_mixture, seen)
    for name, mask in baseline.separate(heard.log_mixture, two).items():
        torch.testing.assert_close(mask, masks[name])


def test_paper_sizes() -> None:
    with torch.device("meta"):
        networks = CCoL()
    assert networks.grounding.fc1.weight.shape == (512, 1024)
    assert networks.grounding.fc2.weight.shape == (128, 512)
    assert networks.separation.visual.weight.shape == (32, 512, 3, 3)


def test_large_first_maps_are_computed_again_for_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, x = SoundEncoder(4), noise(2, 1, 32, 16, seed=3)
    gradients, kept = [], []
    for large in (10**9, 0):
        monkeypatch.setattr("avsep.models.ccol.LARGE_MAPS", large)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, to=sizes: (to.append(t.numel()), t)[1], lambda t: t):  # type: ignore[misc]
            y = encoder(x).sum()
        kept.append(sum(sizes))
        gradients.append(torch.autograd.grad(y, list(encoder.parameters())))
    assert all((one == other).all() for one, other in zip(*gradients, strict=True))
    assert kept[1] < kept[0]
