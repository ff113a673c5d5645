"""The ResNet and the frozen encoders made of it: torchvision's weights fit, and what is frozen stays."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from avsep.models.resnet import FrozenFrames, ResNet18
from tests.helpers.factories import noise


def loaded(**options: bool) -> tuple[ResNet18, FrozenFrames]:
    torch.manual_seed(0)
    resnet = ResNet18(width=4, classes=3)
    for module in resnet.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training
            nn.init.normal_(module.get_buffer("running_mean"), std=0.1)
            nn.init.constant_(module.get_buffer("running_var"), 1.5)
    frames = FrozenFrames(4, **options)
    frames.load_resnet(resnet.state_dict())
    return resnet.eval(), frames.eval()


def test_torchvision_weights_load_and_compute_the_same() -> None:
    torch.manual_seed(0)
    theirs, ours = resnet18().eval(), ResNet18().eval()
    ours.load_state_dict(theirs.state_dict())
    pictures = noise(2, 3, 48, 64, seed=0)
    with torch.no_grad():
        torch.testing.assert_close(ours(pictures), theirs(pictures))


def test_the_grounding_vector_is_what_the_classifier_sees() -> None:
    resnet, frames = loaded()
    pictures = noise(2, 3, 64, 64, seed=0)
    torch.testing.assert_close(resnet.fc(frames(pictures).vector), resnet(pictures))


def test_the_separation_map_is_at_a_sixteenth() -> None:
    _, frames = loaded()
    seen = frames(noise(2, 3, 64, 96, seed=0))
    assert seen.vector.shape == (2, 32)
    assert seen.map.shape == (2, 32, 4, 6)
    convolutions = [m for m in frames.layer4_dilated.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [c.dilation for c in convolutions] == [(1, 1), (2, 2), (2, 2), (2, 2)]
    assert {c.stride for c in convolutions} == {(1, 1)}


def test_leading_axes() -> None:
    _, frames = loaded()
    pictures = noise(2, 3, 3, 32, 32, seed=0)  # (B, N, 3, H, W)
    seen = frames(pictures)
    assert seen.vector.shape[:2] == seen.map.shape[:2] == (2, 3)
    alone = frames(pictures[1, 2][None])
    torch.testing.assert_close(seen.vector[1, 2], alone.vector[0])
    torch.testing.assert_close(seen.map[1, 2], alone.map[0])


def test_a_shared_trunk_sees_what_two_equal_ones_see() -> None:
    _, shared = loaded()
    _, apart = loaded(shared_trunk=False)
    assert apart.trunk_dilated is not None
    pictures = noise(2, 3, 32, 32, seed=0)
    torch.testing.assert_close(shared(pictures), apart(pictures), rtol=0, atol=0)
    with torch.no_grad():
        apart.trunk_dilated.conv1.weight += 1
    assert torch.equal(shared(pictures).vector, apart(pictures).vector)
    assert not torch.equal(shared(pictures).map, apart(pictures).map)


def test_frozen_frames_stay_while_the_rest_trains() -> None:
    _, frames = loaded()
    pictures = noise(4, 3, 32, 32, seed=0).requires_grad_()
    before = {name: value.clone() for name, value in frames.state_dict().items()}
    seen = frames(pictures)
    trained = nn.Sequential(frames).train()
    again = frames(pictures)
    assert trained.training
    assert not any(module.training for module in frames.modules())
    torch.testing.assert_close(again, seen, rtol=0, atol=0)
    assert not again.map.requires_grad
    assert not any(p.requires_grad for p in frames.parameters())
    assert all(torch.equal(before[name], value) for name, value in frames.state_dict().items())


@pytest.mark.parametrize("batch_statistics", [False, True])
def test_frozen_frames_start_frozen(batch_statistics: bool) -> None:
    """Whether or not somebody calls train(): Lightning does not."""
    frames = FrozenFrames(4, batch_statistics)
    assert {module.training for module in frames.modules()} == {batch_statistics}


def test_standardised_maps_have_no_channel_that_is_blown_up() -> None:
    _, frames = loaded(standardise=True)
    plain = loaded()[1]
    with torch.no_grad():
        for network in (frames, plain):  # a channel that hardly moves
            for block in network.layer4_dilated:
                block.bn2.weight[0] = 1e-5  # type: ignore[union-attr, operator, index]
                block.bn2.bias[0] = 0.5  # type: ignore[union-attr, operator, index]
            network.layer4_dilated[0].downsample[1].weight[0] = 1e-5  # type: ignore[union-attr, operator, index]
    pictures = noise(6, 3, 32, 32, seed=0)
    vector, maps = plain(pictures)
    frames.measure(pictures)
    seen = frames(pictures)
    assert torch.equal(seen.vector, vector), "the grounding network's stays as it is"
    deviation = maps.var((0, 2, 3)).clamp(min=0.01 * float(maps.var((0, 2, 3)).mean())).sqrt()
    expected = (maps - maps.mean((0, 2, 3))[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(seen.map, expected, rtol=1e-3, atol=1e-3)
    assert 0 < maps.var((0, 2, 3))[0] < 1e-6
    assert seen.map[:, 0].abs().max() < 0.1 and frames(100 * pictures).map[:, 0].abs().max() < 1
    frames.train()
    assert torch.equal(frames(pictures).map, seen.map), "frozen"


def test_batch_statistics_drift_as_published() -> None:
    _, frames = loaded(batch_statistics=True)
    pictures = noise(4, 3, 32, 32, seed=0)
    mean = frames.trunk.bn1.get_buffer("running_mean")
    before, seen = mean.clone(), frames(pictures)
    assert torch.equal(before, mean), "not in eval mode"
    frames.train()
    assert not torch.allclose(frames(pictures).vector, seen.vector)
    assert not torch.equal(before, mean)


def test_batch_statistics_and_standardised_maps_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="would move what `measure` found"):
        FrozenFrames(8, batch_statistics=True, standardise=True)


def test_other_networks_weights_are_refused() -> None:
    frames = FrozenFrames(4)
    with pytest.raises(RuntimeError, match="conv1"):
        frames.load_resnet(ResNet18(width=8).state_dict())
    with pytest.raises(RuntimeError, match="extra"):
        frames.load_resnet({**ResNet18(width=4).state_dict(), "extra.weight": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="bn1"):
        state = ResNet18(width=4).state_dict()
        del state["bn1.weight"]
        frames.load_resnet(state)
