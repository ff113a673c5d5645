"""CCoL's two learners (Tian, Hu, Xu: Cyclic Co-Learning, CVPR 2021, arXiv 2104.02026).

Grounding: does this object make this sound?  Separation: what of the mixture is this object's?
Shapes: B clips, N frames of an object, K embedding channels, F log-frequency bins, T frames of the spectrogram.
Sounds go in as log1p of a magnitude after the log-frequency warp.  An object's query, v, are the K channels that
separation makes of its pictures.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avsep.models.convolutions import loudest, worth_it
from avsep.models.resnet import FrameFeatures, FrameVectors, FrozenFrames
from avsep.models.unet import UNet

# Values of a sound's first maps, from which on they are computed again for their gradient in place of being kept: a
# third of what a step keeps of a sound at the paper's size, for a 200th of its multiplications.
LARGE_MAPS = 10**6


class SoundEncoder(nn.Module):
    """VGG-like: (B, 1, F, T) -> (B, 8 channels), the global maximum."""

    def __init__(self, channels: int = 64):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for outputs, convolutions in ((channels, 1), (2 * channels, 1), (4 * channels, 2), (8 * channels, 2)):
            for convolution in range(convolutions):
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
                if convolution == convolutions - 1:
                    # before its ReLU, which gives the same as after it with a quarter of the work
                    layers.append(nn.MaxPool2d(2))
                layers.append(nn.ReLU(inplace=True))
                inputs = outputs
        self.features = nn.Sequential(*layers)

    def forward(self, log_magnitude: Tensor) -> Tensor:
        first, last = self.features[0], self.features[-3]
        assert isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d)
        if torch.is_grad_enabled() and first.out_channels * log_magnitude[0].numel() >= LARGE_MAPS:
            x = checkpoint(self.features[:3], log_magnitude, use_reentrant=False, preserve_rng_state=False)
        else:
            x = self.features[:3](log_magnitude)  # (B, channels, F / 2, T / 2)
        x = self.features[3:-3](x)
        if worth_it(last, x, *x.shape[-2:]) and x.shape[-2] % 2 == x.shape[-1] % 2 == 0:
            return loudest(x, last).relu()  # the last pooling leaves out no place: the maximum of all is its maximum
        return self.features[-3:](x).amax((-2, -1))


class Grounding(nn.Module):
    """g(sound, object): logits of class 0, sounding, and class 1, silent.

    `head_std`: the head's weights start at N(0, head_std), the rest as PyTorch starts it.  The published 1e-4 makes the
    sound encoder's first gradients vanish (1e-11), and PyTorch's start shrinks a signal by 0.4 a layer.  None starts
    all of it for ReLUs (He et al., ICCV 2015), so that a short training learns from its first step.
    """

    def __init__(self, frame_channels: int = 512, sound_channels: int = 64, head_std: float | None = 1e-4):
        super().__init__()
        self.sound = SoundEncoder(sound_channels)
        self.fc1 = nn.Linear(8 * sound_channels + frame_channels, 512)
        self.fc2 = nn.Linear(512, 128)
        self.fc3 = nn.Linear(128, 2)
        if head_std is None:
            for name, parameter in self.named_parameters():
                if name.endswith("weight"):
                    nn.init.kaiming_normal_(parameter, nonlinearity="relu")
                else:
                    nn.init.zeros_(parameter)
        else:
            for layer in (self.fc1, self.fc2, self.fc3):
                nn.init.normal_(layer.weight, std=head_std)

    def forward(self, sound: Tensor, frames: Tensor) -> Tensor:
        """Sound (B, 8 channels) and an object's frame vectors (B, N, V) -> logits (B, 2)."""
        x = torch.cat([sound, frames.amax(1)], dim=1)
        x = self.fc2(self.fc1(x).relu()).relu()
        return self.fc3(x).float() * 2  # whatever the autocast: losses are taken in float32


class Synthesizer(nn.Module):
    """mask = sigmoid(sum_k scale_k v_k s_k(f, t) + bias): O objects v (B, O, K), s (B, K, F, T) -> (B, O, F, T)."""

    def __init__(self, embedding: int = 32):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(embedding))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, visual: Tensor, sounds: Tensor) -> Tensor:
        masks = torch.einsum("bok,bkft->boft", self.scale * visual, sounds)
        return torch.sigmoid(masks.float() + self.bias)  # whatever the autocast: losses are taken in float32


class Separation(nn.Module):
    """Mixture and object -> mask, as Sound of Pixels has it (Zhao et al., ECCV 2018)."""

    def __init__(
        self,
        frame_channels: int = 512,
        levels: int = 7,
        channels: int = 64,
        max_channels: int = 512,
        embedding: int = 32,
    ):
        super().__init__()
        self.unet = UNet(levels, channels, max_channels, embedding)
        self.visual = nn.Conv2d(frame_channels, embedding, 3, padding=1)
        self.synthesizer = Synthesizer(embedding)

    def hearing(self) -> list[nn.Parameter]:
        """What turns the mixture's sound into masks."""
        return [*self.unet.parameters(), *self.synthesizer.parameters()]

    def seeing(self) -> list[nn.Parameter]:
        """What turns frame maps into an object's channels."""
        return list(self.visual.parameters())

    def query(self, maps: Tensor) -> Tensor:
        """The objects' frame maps (B, O, N, V, h, w) -> (B, O, K): the maximum over frames and positions."""
        visual = self.visual(maps.flatten(0, 2)).unflatten(0, maps.shape[:3])  # (B, O, N, K, h, w)
        return visual.amax((2, 4, 5))

    def forward(self, log_mixture: Tensor, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mixture (B, 1, F, T) and each object's frame maps (B, N, V, h, w) -> each object's mask (B, 1, F, T)."""
        queries = self.query(torch.stack(list(maps.values()), dim=1))
        masks = self.synthesizer(queries.sigmoid(), self.unet(log_mixture))
        return dict(zip(maps, masks.split(1, dim=1), strict=True))


@torch.no_grad()
def start_queries(frames: FrozenFrames, separation: Separation, pictures: Tensor, std: float) -> None:
    """Lets the objects' queries start apart: over normalised pictures (B, 3, H, W), each of the K channels gets the
    mean 0 and the deviation `std` before its sigmoid, on frame maps that are standardised.

    As PyTorch starts the 3x3 convolution, on maps that are nowhere negative, all objects' queries lie close together
    (after the sigmoid at 0.76, with a deviation of 0.07 between the demo's classes), and a step that moves one class
    moves all.  Scaling layers by what passes through them is Mishkin and Matas' idea (All you need is a good init, ICLR
    2016).
    """
    frames.measure(pictures)
    queries = separation.query(frames(pictures).map[:, None, None]).squeeze(1)  # (B, K)
    scale = std / queries.std(0)
    separation.visual.weight.mul_(scale[:, None, None, None])
    separation.visual.bias.sub_(queries.mean(0)).mul_(scale)  # type: ignore[union-attr]


class CCoL(nn.Module):
    """Both learners and the frozen frame encoders that they see with."""

    def __init__(
        self,
        resnet_width: int = 64,
        sound_channels: int = 64,
        head_std: float | None = 1e-4,
        unet_levels: int = 7,
        unet_channels: int = 64,
        unet_max_channels: int = 512,
        embedding: int = 32,
        query_std: float | None = None,
        batch_statistics: bool = False,
        shared_trunk: bool = True,
    ):
        super().__init__()
        self.frames = FrozenFrames(resnet_width, batch_statistics, shared_trunk, standardise=query_std is not None)
        self.grounding = Grounding(8 * resnet_width, sound_channels, head_std)
        self.separation = Separation(8 * resnet_width, unet_levels, unet_channels, unet_max_channels, embedding)
        self.query_std = query_std

    def start(self, pictures: Tensor) -> None:
        """Shows new networks training pictures (B, 3, H, W), see `start_queries`; without query_std nothing is done."""
        if self.query_std is not None:
            start_queries(self.frames, self.separation, pictures, self.query_std)

    def ground(self, log_sounds: Mapping[str, Tensor], seen: Mapping[str, FrameFeatures | FrameVectors]) -> "Grounded":
        """Encodes each named sound (B, 1, F, T) once, all in one batch; gives g(sound, object) for any of the pairs."""
        vectors = self.grounding.sound(torch.cat(list(log_sounds.values()))).chunk(len(log_sounds))
        return Grounded(self.grounding, dict(zip(log_sounds, vectors, strict=True)), seen)

    def separate(self, log_mixture: Tensor, seen: Mapping[str, FrameFeatures]) -> dict[str, Tensor]:
        """Mixture (B, 1, F, T) -> each object's mask (B, 1, F, T)."""
        return self.separation(log_mixture, {name: features.map for name, features in seen.items()})


class Grounded:
    """g(sound, object) by name, over sounds that are encoded already: `g("mixture", "A")` -> logits (B, 2)."""

    def __init__(self, head: Grounding, sounds: Mapping[str, Tensor], seen: Mapping[str, FrameFeatures | FrameVectors]):
        self._head, self._sounds, self._seen = head, sounds, seen

    def __call__(self, sound: str, seen: str) -> Tensor:
        return self._head(self._sounds[sound], self._seen[seen].vector)

    def probability(self, sound: str, seen: str) -> Tensor:
        """That the object sounds, (B,)."""
        return self(sound, seen).softmax(1)[:, 0]
