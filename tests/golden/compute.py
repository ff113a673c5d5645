"""The golden numbers, from our networks and objectives.

    python -m tests.golden.compute ccol --seed 0 --batch 3 --align-corners true --out ccol.npz

Weights and inputs come from a formula, so that none are stored: see README.md beside this file.  The published
parameter names of each system stand in the `keys` of its golden file, and go through avsep.published.
"""

import argparse
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.clips.mixtures import Heard
from avsep.media import spectrogram
from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.models.vast import VAST, Seen, attention_logits, visual_query
from avsep.published import ccol_state, vast_state
from avsep.training.losses import gated_separation
from stages import colearning, cyclic, grounding, trimodal

HERE = Path(__file__).parent
Arrays = dict[str, np.ndarray]


def random_state(seed: int, key: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(f"{seed}:{key}".encode()) & 0x7FFFFFFF)


def published_tensor(seed: int, name: str, shape: tuple[int, ...], net: str) -> Tensor:
    """One tensor of the published networks, by the formula; VAST's file names them without their net."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    key = f"vast.{name}" if net == "vast" else name
    n: np.ndarray = random_state(seed, key).standard_normal(shape).astype(np.float32)
    leaf = name.rsplit(".", 1)[1]
    if leaf == "running_var":
        n = 1 + 0.1 * np.abs(n)
    elif leaf == "running_mean":
        n = 0.1 * n
    elif len(shape) >= 2:
        gain = 0.5 if net == "grounding" else 2.0
        inputs = int(np.prod(shape[1:]))
        if name.startswith("audionet_upconv"):  # transposed, of stride 2: each output meets 2 x 2 of the 4 x 4 taps
            inputs = 4 * shape[0]
        n = n * np.sqrt(gain / inputs)
    elif leaf in ("weight", "scale"):
        n = 1 + 0.1 * n
    else:
        n = 0.1 * n
    return torch.from_numpy(np.asarray(n, dtype=np.float32))


def published_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the golden file's `keys` tell them: `frame.fc.weight (32, 512, 3, 3)`."""
    with np.load(file, allow_pickle=False) as golden:
        lines = [str(key) for key in golden["keys"]]
    shapes = {}
    for line in lines:
        name, shape = line.split(" ", 1)
        shapes[name] = tuple(int(size) for size in shape.strip("()").split(",") if size.strip())
    return shapes


# --- CCoL


def ccol_networks(seed: int) -> CCoL:
    file = HERE / "ccol_align_corners_true.npz"
    tensors = {
        name: published_tensor(seed, name, shape, net=name.split(".")[0])
        for name, shape in published_shapes(file).items()
    }
    tensors["grounding.fc3.bias"] = torch.zeros(2)  # see balance_gates
    networks = CCoL(shared_trunk=False)
    networks.load_state_dict(ccol_state(tensors))
    return networks.eval()


@torch.no_grad()
def balance_gates(networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures]) -> np.ndarray:
    """The grounding head's last bias, `override.grounding.fc3.bias`: with it some gates open and some close.

    It shifts the mixture's logits so that 0 falls into the widest gap around the median of their differences:
    far from any gate's rounding.  This gives the golden files' values to the last digit.
    """
    g = networks.ground(heard.log_sounds, seen)
    logits = torch.stack([g("mixture", name) for name in OBJECTS]).double()  # (4, B, 2)
    differences = (logits[..., 0] - logits[..., 1]).flatten().sort().values.numpy()
    middle = slice(len(differences) // 4, 3 * len(differences) // 4)
    widest = middle.start + int(np.diff(differences)[middle].argmax())
    shift = (differences[widest] + differences[widest + 1]) / 2 / 4  # the logits are doubled, the bias two-sided
    bias = np.asarray([-shift, shift])
    networks.grounding.fc3.bias.copy_(torch.from_numpy(bias))
    return bias


def ccol_inputs(seed: int, batch: int, align_corners: bool) -> tuple[Heard, dict[str, Tensor]]:
    """Solo sounds of A and C, their mixture, and pictures (B, N, 3, H, W) of A to D."""
    envelope = np.exp(-np.linspace(0, 4, 512))[None, None, :, None]
    linear = {}
    for role in SOUNDING:
        n = random_state(seed, f"input.mag{OBJECTS.index(role)}").standard_normal((batch, 1, 512, 256))
        linear[role] = torch.from_numpy((np.abs(n) * envelope * 3).astype(np.float32))
    mixture = 0.8 * (linear["A"] + linear["C"]) + 1e-10
    heard = Heard(
        mixture=spectrogram.warp(mixture, 256, align_corners),
        solo={role: spectrogram.warp(magnitude, 256, align_corners) for role, magnitude in linear.items()},
    )
    pictures = {}
    for index, name in enumerate(OBJECTS):
        n = random_state(seed, f"input.frames{index}").standard_normal((batch, 3, 3, 224, 224)).astype(np.float32)
        pictures[name] = torch.from_numpy(n).transpose(1, 2)  # (B, N, 3, H, W)
    return heard, pictures


OBJECTIVES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "grounding": grounding.objective,
    "colearning": lambda *args: colearning.objective(*args, as_published=True),
    "cyclic": lambda *args: cyclic.objective(*args, as_published=True),
}
FORMULAS: dict[str, Callable[..., dict[str, Tensor]]] = {
    "grounding": grounding.objective,
    "colearning": colearning.objective,
    "cyclic": cyclic.objective,
}


def one_sample(heard: Heard, seen: dict[str, FrameFeatures], b: int) -> tuple[Heard, dict[str, FrameFeatures]]:
    """Sample b alone in its batch."""
    alone = Heard(heard.mixture[b : b + 1], {name: solo[b : b + 1] for name, solo in heard.solo.items()})
    return alone, {name: FrameFeatures(*(f[b : b + 1] for f in features)) for name, features in seen.items()}


def ccol(seed: int, batch: int, align_corners: bool) -> Arrays:
    """Every CCoL key of the golden files."""
    networks = ccol_networks(seed)
    heard, pictures = ccol_inputs(seed, batch, align_corners)
    seen = {name: networks.frames(frames) for name, frames in pictures.items()}
    out: Arrays = {"seed": np.asarray(seed), "batch": np.asarray(batch)}
    out["override.grounding.fc3.bias"] = balance_gates(networks, heard, seen)

    # published names of the networks and of the parameters whose gradients are kept
    nets = {
        "sound_ground": networks.grounding.sound,
        "frame_ground": networks.frames,
        "sound": networks.separation.unet,
        "frame": networks.separation.visual,
        "synthesizer": networks.separation.synthesizer,
        "grounding": torch.nn.ModuleList([networks.grounding.fc1, networks.grounding.fc2, networks.grounding.fc3]),
    }
    kept: dict[str, Any] = {
        "sound_ground.features.0.weight": networks.grounding.sound.features[0].weight,
        "grounding.fc1.weight": networks.grounding.fc1.weight,
        "grounding.fc3.weight": networks.grounding.fc3.weight,
        "synthesizer.scale": networks.separation.synthesizer.scale,
        "frame.fc.weight": networks.separation.visual.weight,
    }

    for stage, objective in OBJECTIVES.items():
        networks.zero_grad()
        losses = objective(networks, heard, seen)
        losses["loss"].backward()
        out[f"{stage}.loss"] = losses["loss"].detach().double().numpy()
        for name, net in nets.items():
            gradients = [p.grad.double().square().sum() for p in net.parameters() if p.grad is not None]
            out[f"{stage}.grad_norm.{name}"] = np.sqrt(np.asarray(sum(float(g) for g in gradients)))
        for name, parameter in kept.items():
            if parameter.grad is not None:
                out[f"{stage}.grad.{name}"] = parameter.grad.flatten()[:64].numpy().copy()

        with torch.no_grad():
            g = networks.ground(heard.log_sounds, seen)
            softmax = {
                "p_pos": g("A", "A").softmax(1),
                "p_neg": g("C", "A").softmax(1),
                "p_mix": torch.stack([g("mixture", name).softmax(1) for name in OBJECTS]),
                "p_solo": torch.stack(
                    [g("A", "A"), g("A", "B"), g("C", "C"), g("C", "D")],
                ).softmax(2),
            }
            out.update({f"{stage}.{name}": p.numpy() for name, p in softmax.items()})
            alone = [FORMULAS[stage](networks, *one_sample(heard, seen, b))["loss"] for b in range(batch)]
            out[f"{stage}.loss_one_sample_at_a_time"] = torch.stack(alone).double().numpy()
            if stage == "grounding":
                continue

            separated = gated_separation(networks, g, heard, seen, max_target=5.0)
            silent = torch.zeros_like(heard.mixture)  # the silent objects' target
            out[f"{stage}.loss_sep"] = separated.loss.double().numpy()
            masks = {**separated.masks, **separated.pair_masks}
            out[f"{stage}.pred_masks"] = _every_8th(torch.stack([masks[name] for name in OBJECTS]))
            targets = torch.stack([separated.targets.get(name, silent) for name in OBJECTS])
            out[f"{stage}.gt_masks"] = _every_8th(targets)
            out[f"{stage}.mag_mix_warped"] = _every_8th(heard.mixture)
            out[f"{stage}.weight"] = _every_8th(heard.weight)
            if stage == "cyclic":
                raw = torch.stack([separated.masks[name] for name in OBJECTS])
                gates = softmax["p_mix"][:, :, 0].round()[:, :, None, None, None]
                out["cyclic.test.masks"] = _every_8th(raw)
                out["silent.test.masks"] = _every_8th(raw * gates)

    out["warpgrid.warp"] = spectrogram.warp_grid(256, 256)[::16, ::64].numpy()
    out["warpgrid.unwarp"] = spectrogram.unwarp_grid(512, 256)[::32, ::64].numpy()
    with np.load(HERE / "ccol_align_corners_true.npz", allow_pickle=False) as golden:
        out["keys"] = golden["keys"]
    return out


# --- VAST


def vast_networks(seed: int, captions: Tensor) -> VAST:
    shapes = published_shapes(HERE / "vast_align_corners_true.npz")
    tensors = {name: published_tensor(seed, name, shape, net="vast") for name, shape in shapes.items()}
    networks = VAST(len(captions))
    networks.unet.load_state_dict(vast_state(tensors))
    networks.captions.copy_(captions)
    return networks.eval()


def vast_inputs(seed: int, batch: int, align_corners: bool) -> tuple[Heard, dict[str, Seen], Tensor]:
    """Two sources' sounds and what is seen of them, and the latent captions (V, Q)."""
    envelope = np.exp(-np.linspace(0, 4, 512))[None, None, :, None]
    captions = torch.from_numpy(random_state(seed, "captions").standard_normal((6, 1024)).astype(np.float32))
    linear, seen = {}, {}
    for source, name in enumerate(SOUNDING):
        n = random_state(seed, f"input.mag{source}").standard_normal((batch, 1, 512, 256))
        linear[name] = torch.from_numpy((np.abs(n) * envelope * 3).astype(np.float32))
        numbers = torch.tensor([(b + 2 * source) % len(captions) for b in range(batch)])
        n = random_state(seed, f"input.visual{source}").standard_normal((batch, 3, 7, 7, 1024))
        tokens = torch.from_numpy((n + 0.5 * captions[numbers].numpy()[:, None, None, None]).astype(np.float32))
        seen[name] = Seen(tokens.flatten(2, 3), captions[numbers], numbers)  # tokens (B, N, P, Q)
    mixture = 0.8 * (linear["A"] + linear["C"]) + 1e-10
    heard = Heard(
        mixture=spectrogram.warp(mixture, 256, align_corners),
        solo={name: spectrogram.warp(magnitude, 256, align_corners) for name, magnitude in linear.items()},
    )
    return heard, seen, captions


def vast(seed: int, batch: int, align_corners: bool) -> Arrays:
    """Every VAST key of the golden files."""
    heard, seen, captions = vast_inputs(seed, batch, align_corners)
    networks = vast_networks(seed, captions)
    losses = trimodal.objective(networks, heard, seen)
    losses["loss"].backward()
    names = {
        "loss": "loss",
        "mask_loss": "visual_masks",
        "text_mask_loss": "text_masks",
        "kl": "consistency",
        "textclass": "classification",
    }
    out: Arrays = {key: losses[name].detach().double().numpy() for key, name in names.items()}
    norms = [p.grad.double().square().sum() for p in networks.parameters() if p.grad is not None]
    out["grad_norm"] = np.sqrt(np.asarray(sum(float(norm) for norm in norms)))
    with torch.no_grad():
        queries = {("visual", name): visual_query(clip.tokens) for name, clip in seen.items()}
        queries.update({("text", name): clip.sentence for name, clip in seen.items()})
        masks = networks.separate(heard.mixture, queries)
        # the sources one after the other, as the golden files have them
        sounds = torch.cat([networks.embed(heard.mixture, masks["visual", name], "log") for name in SOUNDING])
        tokens, sentences, _ = (torch.cat(values) for values in zip(*seen.values(), strict=True))
        out["pred_masks"] = _every_8th(torch.stack([masks["visual", name] for name in SOUNDING]))
        out["text_pred_masks"] = _every_8th(torch.stack([masks["text", name] for name in SOUNDING]))
        out["audio_embedding"] = sounds[:, ::16].numpy()
        out["audio_log_attention"] = attention_logits(sounds, tokens).log_softmax(-1).flatten(0, 1).numpy()
        out["text_attention"] = attention_logits(sentences, tokens).softmax(-1).flatten(0, 1).numpy()
    out["mag_mix_warped"] = _every_8th(heard.mixture)
    out["captions_first8"] = captions[:, :8].numpy()
    out["seed"], out["batch"] = np.asarray(seed), np.asarray(batch)
    with np.load(HERE / "vast_align_corners_true.npz", allow_pickle=False) as golden:
        out["keys"] = golden["keys"]
    return out


def _every_8th(values: Tensor) -> np.ndarray:
    return values[..., ::8, ::8].numpy().copy()


SYSTEMS = {"ccol": ccol, "vast": vast}


def main() -> None:
    parser = argparse.ArgumentParser(description="The golden numbers, from our networks and objectives.")
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--align-corners", choices=("true", "false"), default="true")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arrays: dict[str, Any] = SYSTEMS[arguments.system](
        arguments.seed, arguments.batch, arguments.align_corners == "true"
    )
    np.savez_compressed(arguments.out, **arrays)


if __name__ == "__main__":
    main()
