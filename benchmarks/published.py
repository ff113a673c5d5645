"""CCoL's training steps with the number of passes that the published code makes, as the measure of our own.

Told again in our words, over the parameters of our own networks (models/ccol.py), so that both give the same losses:

- each object's frames go through two trunks, one for grounding and one for separation, one object after the other;
- a sound is encoded anew for each pair that it stands in: eight passes a sample, of which three (warm-up) or four get a
  gradient;
- ReLU comes before the pooling, and maps are enlarged before they are convolved;
- the mixture's spectrum and each of four sources', two of them silent, are computed one by one;
- scores and distances are taken sample by sample.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.clips.mixtures import FAINTEST
from avsep.media import spectrogram
from avsep.media.spectrogram import Spectrogram
from avsep.models.ccol import CCoL, SoundEncoder
from avsep.models.unet import UNet

SOLO = (("A", "A"), ("A", "B"), ("C", "C"), ("C", "D"))  # sound, object: looked at, and not learned from
Pictures = Mapping[str, Tensor]  # of each object (B, N, 3, H, W)


def published_networks() -> CCoL:
    """At the paper's size: two trunks, whose batch norm moves."""
    return CCoL(batch_statistics=True, shared_trunk=False)


def spectra(waves: Mapping[str, Tensor], how: Spectrogram) -> tuple[Tensor, dict[str, Tensor]]:
    """Waves (B, L) -> magnitudes (B, 1, F, T) of the mixture and of its sources."""
    silence = torch.zeros_like(waves["A"])
    given = {"mixture": waves["A"] + waves["C"], "A": waves["A"], "B": silence, "C": waves["C"], "D": silence}
    magnitudes = {}
    for name, several in given.items():
        planes = [spectrogram.stft(wave, how.n_fft, how.hop).abs() for wave in several]
        magnitude = torch.stack(planes)[:, None] + FAINTEST  # (B, 1, F, T)
        magnitudes[name] = spectrogram.warp(magnitude, how.log_bins, how.align_corners)
    return magnitudes["mixture"], {name: magnitudes[name] for name in SOUNDING}


def encode_sound(encoder: SoundEncoder, log_magnitude: Tensor) -> Tensor:
    """(B, 1, F, T) -> (B, 8 channels)."""
    x = log_magnitude
    layers = list(encoder.features)
    pooled = {index - 1 for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)}
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            x = functional.relu(functional.conv2d(x, layer.weight, layer.bias, padding=1), inplace=True)
            if index in pooled:
                x = functional.max_pool2d(x, 2)
    return functional.adaptive_max_pool2d(x, 1).flatten(1)


def unet(network: UNet, x: Tensor) -> Tensor:
    """(B, 1, F, T) -> (B, K, F, T)."""
    x = network.down[0](network.norm(x))
    skips = []
    for level, convolution in enumerate(network.down[1:], start=1):
        skips.append(functional.leaky_relu(x, 0.2, inplace=True))
        x = convolution(skips[-1])
        if level <= len(network.down_norm):
            x = network.down_norm[level - 1](x)
    for level, layer in enumerate(network.up):
        if level > 0:
            x = torch.cat([skips[-level], x], dim=1)
        x = functional.relu(x, inplace=True)
        x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        x = functional.conv2d(x, layer.weight, layer.bias, padding=1)  # type: ignore[arg-type]
        if level < len(network.up_norm):
            x = network.up_norm[level](x)
    return x


def grounding_vector(networks: CCoL, pictures: Tensor) -> Tensor:
    """An object's frames (B, N, 3, H, W) -> (B, 8 width)."""
    frames = networks.frames
    maps = frames.layer4(frames.trunk(pictures.flatten(0, 1)))
    return maps.mean((-2, -1)).unflatten(0, pictures.shape[:2]).amax(1)


def separation_query(networks: CCoL, pictures: Tensor) -> Tensor:
    """An object's frames (B, N, 3, H, W) -> (B, K), between 0 and 1."""
    frames = networks.frames
    trunk = frames.trunk if frames.trunk_dilated is None else frames.trunk_dilated
    maps = networks.separation.visual(frames.layer4_dilated(trunk(pictures.flatten(0, 1))))  # (B N, K, h, w)
    return maps.unflatten(0, pictures.shape[:2]).amax((1, 3, 4)).sigmoid()


def head(networks: CCoL, sound: Tensor, vector: Tensor) -> Tensor:
    """Logits (B, 2)."""
    return networks.grounding(sound, vector[:, None])


def one_by_one(values: Callable[[int], Tensor], batch: int) -> Tensor:
    """(B,), computed sample by sample."""
    return torch.stack([values(sample) for sample in range(batch)])


def cross_entropies(logits: Tensor, target: int) -> Tensor:
    """Of each sample, (B,)."""
    targets = torch.full((len(logits),), target, device=logits.device)
    return one_by_one(lambda b: functional.cross_entropy(logits[b : b + 1], targets[b : b + 1]), len(logits))


class Looked:
    """What every step of the published code computes of sounds and objects, whatever its loss takes of it."""

    def __init__(self, networks: CCoL, waves: Mapping[str, Tensor], pictures: Pictures, how: Spectrogram):
        self.mixture, self.solo = spectra(waves, how)
        self.log_mixture = self.mixture.log1p()
        log = {name: magnitude.log1p() for name, magnitude in self.solo.items()}
        sound = networks.grounding.sound
        heard = encode_sound(sound, self.log_mixture)
        vectors = {name: grounding_vector(networks, pictures[name]) for name in OBJECTS}
        self.mix = {name: head(networks, heard, vectors[name]) for name in OBJECTS}
        self.right, self.left, self.stranger = (
            head(networks, encode_sound(sound, log[of]), vectors[name])
            for of, name in (("A", "A"), ("A", "B"), ("C", "A"))
        )
        self.looked_at = [head(networks, encode_sound(sound, log[of]), vectors[name]).softmax(1) for of, name in SOLO]


def grounding_step(networks: CCoL, waves: Mapping[str, Tensor], pictures: Pictures, how: Spectrogram) -> Tensor:
    """The warm-up's loss."""
    seen = Looked(networks, waves, pictures, how)
    pair = torch.minimum(cross_entropies(seen.right, 0), cross_entropies(seen.left, 0))
    return pair.mean() + functional.cross_entropy(seen.stranger, torch.ones(len(pair), dtype=torch.long))


def masks_of(networks: CCoL, seen: Looked, pictures: Pictures) -> dict[str, Tensor]:
    """Of each object, (B, 1, F, T)."""
    maps = unet(networks.separation.unet, seen.log_mixture)
    queries = {name: separation_query(networks, pictures[name]) for name in OBJECTS}
    return {name: networks.separation.synthesizer(query[:, None], maps) for name, query in queries.items()}


def separation_loss(
    seen: Looked, masks: Mapping[str, Tensor], max_target: float
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """L_sep, the targets and the weight."""
    weight = seen.log_mixture.clamp(1e-3, 10)
    targets = {name: (seen.solo[name] / seen.mixture).clamp(0, max_target) for name in SOUNDING}
    size = masks["A"].shape[-2:]
    gates = {
        name: logits.softmax(1)[:, 0].round()[:, None, None, None].repeat(1, 1, *size).detach()
        for name, logits in seen.mix.items()
    }
    pairs = {x: gates[x] * masks[x] + gates[y] * masks[y] for x, y in (("A", "B"), ("C", "D"))}
    losses = [(weight * (pairs[name] - targets[name]).abs()).mean() for name in SOUNDING]
    return (losses[0] + losses[1]) / 2, targets, weight


def colearning_step(networks: CCoL, waves: Mapping[str, Tensor], pictures: Pictures, how: Spectrogram) -> Tensor:
    """Co-learning's loss, with the published batch means."""
    seen = Looked(networks, waves, pictures, how)
    masks = masks_of(networks, seen, pictures)
    loss, _, _ = separation_loss(seen, masks, max_target=5.0)
    sounding = torch.zeros(len(seen.mixture), dtype=torch.long)
    pair = torch.minimum(cross_entropies(seen.right, 0), cross_entropies(seen.left, 0)).mean()
    grounding = pair + functional.cross_entropy(seen.stranger, sounding + 1)
    for x, y in (("A", "B"), ("C", "D")):
        both = [functional.cross_entropy(seen.mix[name], sounding) for name in (x, y)]
        grounding = grounding + torch.minimum(*both)
    return loss + 0.25 * grounding


def cyclic_step(networks: CCoL, waves: Mapping[str, Tensor], pictures: Pictures, how: Spectrogram) -> Tensor:
    """The cyclic phase's loss, with the published batch mix-up."""
    seen = Looked(networks, waves, pictures, how)
    masks = masks_of(networks, seen, pictures)
    loss, targets, weight = separation_loss(seen, masks, max_target=5.0)
    batch = len(seen.mixture)

    def distance(of: str, to: str) -> Tensor:
        return one_by_one(lambda b: (weight[b] * (masks[of][b] - targets[to][b]).abs()).mean(), batch).detach()

    d = {"A": distance("A", "A"), "B": distance("B", "A"), "C": distance("C", "C"), "D": distance("D", "C")}
    sounds = {}
    for x, y in (("A", "B"), ("C", "D")):
        sounds[x] = (1 - d[x] / (d[x] + d[y])).round()
        sounds[y] = 1 - sounds[x]
    positive = {name: cross_entropies(logits, 0) for name, logits in seen.mix.items()}
    negative = {name: cross_entropies(logits, 1) for name, logits in seen.mix.items()}
    told = sum(sounds[name] * positive[name] for name in OBJECTS)
    silent = sum((1 - sounds[name]) * (d[name] > 0.1) * negative[name] for name in OBJECTS)
    right, left = cross_entropies(seen.right, 0), cross_entropies(seen.left, 0)
    pair = (right * sounds["A"][:, None] + left * sounds["B"][:, None]).mean()  # (B, B): each meets every other's
    stranger = functional.cross_entropy(seen.stranger, torch.ones(batch, dtype=torch.long))
    return loss + 0.25 * (told + silent).mean() + 0.5 * (pair + stranger)  # type: ignore[union-attr]


STEPS = {"grounding": grounding_step, "colearning": colearning_step, "cyclic": cyclic_step}
