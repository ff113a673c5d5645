"""The authors' checkpoints as ours: CCoL's six files, Sound of Pixels' three, VAST's two (docs/ccol.md, docs/vast.md).

    python -m avsep.published fetch ccol checkpoints/authors/ccol
    python -m avsep.published import <folder with the .pth files> checkpoints/cyclic/best.safetensors

The first brings them (avsep/fetch.py), the second reads them.  What the folder holds says whose they are.  A file that
is missing, or that lacks a parameter, holds one that the published network has not, or one of another shape, is refused
by name, and nothing is written.
"""

import argparse
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from avsep.errors import InputError
from avsep.fetch import SOURCES, fetch
from avsep.models.ccol import CCoL
from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.models.vast import VAST
from avsep.weights.about import PUBLISHED, About
from avsep.weights.checkpoints import hash_of, load_torch, load_weights, save_weights
from avsep.weights.clip import CLIP

# Layers that the published grounding network keeps and never uses.
UNUSED = re.compile(r"grounding\.fc_[va][12]\.")
SAVED = ("best", "latest")  # the published trainings keep <network>_best.pth and <network>_latest.pth
CCOL_NETS = ("sound_ground", "frame_ground", "sound", "frame", "synthesizer", "grounding")
VAST_NETS = ("sound", "frame")  # frame is CLIP's picture tower, frozen
PIXELS_NETS = ("sound", "frame", "synthesizer")

# What they were trained with.  Whether the warp's grid ended at the outermost bins' centres (spectrogram.align_corners)
# hung on their version of PyTorch, which they do not tell.
HEARD = {
    **{"extract.rate": 11025, "audio.samples": 65535},
    **{"spectrogram.n_fft": 1022, "spectrogram.hop": 256, "spectrogram.log_bins": 256},
}
ABOUT_CCOL = About(
    system="ccol",
    stage=PUBLISHED,
    sizes={
        **{"resnet_width": 64, "sound_channels": 64, "embedding": 32, "query_std": None, "shared_trunk": False},
        **{"unet_levels": 7, "unet_channels": 64, "unet_max_channels": 512},
    },
    params={
        **HEARD,
        **{"frames.fps": 1, "frames.count": 3, "frames.stride": 1, "frames.size": 224, "frames.square": False},
    },
)
ABOUT_PIXELS = About(
    system="sound_of_pixels",
    stage=PUBLISHED,
    sizes={
        **{"resnet_width": 64, "embedding": 32, "binary": True},
        **{"unet_levels": 7, "unet_channels": 64, "unet_max_channels": 512},
    },
    params={
        **HEARD,
        **{"baseline.fps": 8, "baseline.frames": 3, "baseline.stride": 24, "baseline.masks": "binary"},
        **{"frames.size": 224},
    },
)
ABOUT_VAST = About(  # beside it the hash of the CLIP whose tower they saw with
    system="vast",
    stage=PUBLISHED,
    sizes={"captions": 0, "levels": 7, "channels": 64, "embedding": 1024},
    params={
        **HEARD,
        **{"vast.fps": 8, "vast.frames": 3, "vast.stride": 24, "clip.image_size": 224, "vast.masked": "log"},
    },
)

_RESNET = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6"}
_NEST = ".model.3"  # a level of the published U-Net holds the next inner one here

# --- Names


def ccol_state(published: Mapping[str, Tensor], unet_levels: int = 7) -> dict[str, Tensor]:
    """Published tensors, named `<net>.<parameter>`, -> the state dict of `CCoL(shared_trunk=False)`.

    The nets are CCOL_NETS.  The four unused layers are dropped knowingly.  Raises KeyError for a name that is missing,
    and for one that the published networks do not have.
    """
    with torch.device("meta"):
        names = ccol_names(CCoL(unet_levels=unet_levels, shared_trunk=False).state_dict(), unet_levels)
    return _renamed({name: tensor for name, tensor in published.items() if not UNUSED.match(name)}, names)


def vast_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """VAST's published tensors -> the state dict of `ConditionedUNet`. Raises KeyError as `ccol_state`."""
    with torch.device("meta"):
        return _renamed(published, vast_names(VAST(0).unet.state_dict()))


def ccol_names(ours: Iterable[str], unet_levels: int) -> dict[str, str]:
    """Names in the state dict of `CCoL(shared_trunk=False)` -> the published `<net>.<parameter>`."""
    unet = _unet_names(unet_levels)
    return {name: _ccol_name(name, unet) for name in ours}


def vast_names(ours: Iterable[str]) -> dict[str, str]:
    """Names in the state dict of `ConditionedUNet` -> the published ones.

    Ours has statistics of its own for separated sounds: both take those that the published network has for all.
    """
    names = {}
    for name in ours:
        part, level, rest = name.split(".", 2)
        layer = f"audionet_{'up' if part == 'up' else ''}convlayer{int(level) + 1}"
        names[name] = f"{layer}.1.{rest}" if part == "separated_norms" else f"{layer}.{rest}"
    return names


def _ccol_name(ours: str, unet: Mapping[str, str]) -> str:
    learner, part, rest = ours.split(".", 2)
    if learner == "grounding":
        return f"sound_ground.{rest}" if part == "sound" else f"grounding.{part}.{rest}"
    if learner == "separation":
        return _separation_name(part, rest, unet)
    return f"{'frame' if part.endswith('_dilated') else 'frame_ground'}.{_resnet_name(part, rest)}"


def pixels_names(ours: Iterable[str], unet_levels: int) -> dict[str, str]:
    """Names in Sound of Pixels' state dict, frames.{trunk,layer4_dilated} and separation.{unet,visual,synthesizer},
    -> the published `<net>.<parameter>`: CCoL's separation was made of it."""
    unet = _unet_names(unet_levels)
    names = {}
    for name in ours:
        learner, part, rest = name.split(".", 2)
        seen = learner == "frames"
        names[name] = f"frame.{_resnet_name(part, rest)}" if seen else _separation_name(part, rest, unet)
    return names


def _separation_name(part: str, rest: str, unet: Mapping[str, str]) -> str:
    if part == "unet":
        layer, _, leaf = rest.rpartition(".")
        return f"sound.{unet[layer]}.{leaf}"
    return f"frame.fc.{rest}" if part == "visual" else f"synthesizer.{rest}"


def _resnet_name(part: str, rest: str) -> str:
    """Of a ResNet whose last group has a name of its own: the published one numbers its children."""
    if part.startswith("layer4"):
        return f"features.7.{rest}"
    block, _, rest = rest.partition(".")
    return f"features.{_RESNET[block]}.{rest}"


def _unet_names(levels: int) -> dict[str, str]:
    """Our U-Net's layers -> the published one's, which is nested, outermost block first."""
    names = {"norm": "bn0", "down.0": "unet_block.model.0", f"up.{levels - 1}": "unet_block.model.4"}
    block = "unet_block.model.1"
    for level in range(1, levels):
        innermost = level == levels - 1
        names[f"down.{level}"] = f"{block}.model.1"
        if not innermost:
            names[f"down_norm.{level - 1}"] = f"{block}.model.2"
        up = 4 if innermost else 6
        names[f"up.{levels - 1 - level}"] = f"{block}.model.{up}"
        names[f"up_norm.{levels - 1 - level}"] = f"{block}.model.{up + 1}"
        block += _NEST
    return names


def _renamed(published: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    if unknown := sorted(set(published) - set(names.values())):
        raise KeyError(unknown[0])
    return {ours: published[theirs] for ours, theirs in names.items()}


# --- Files


def import_ccol(folder: Path, network: CCoL, saved: str = "best") -> dict[str, Tensor]:
    """The six files -> a state dict for `network`, which has the published sizes and `shared_trunk=False`.

    Raises InputError that names the file and the parameter.
    """
    own = network.state_dict()
    return _import(folder, CCOL_NETS, ccol_names(own, len(network.separation.unet.down)), own, saved)


def import_pixels(
    folder: Path, own: Mapping[str, Tensor], unet_levels: int = 7, saved: str = "best"
) -> dict[str, Tensor]:
    """Sound of Pixels' three files -> a state dict with the names of `own`, the state dict of a network of the
    published sizes.

    Raises InputError that names the file and the parameter.
    """
    return _import(folder, PIXELS_NETS, pixels_names(own, unet_levels), own, saved)


def _import(
    folder: Path, nets: Iterable[str], names: Mapping[str, str], own: Mapping[str, Tensor], saved: str
) -> dict[str, Tensor]:
    """The files of `nets` -> tensors under our names, in the order of `own`; `names`: ours -> `<net>.<parameter>`."""
    published = {net: read_file(folder / f"{net}_{saved}.pth") for net in nets}
    state = {}
    for net, held in published.items():
        of_net = {o: theirs.removeprefix(f"{net}.") for o, theirs in names.items() if theirs.partition(".")[0] == net}
        used = {name: value for name, value in held.items() if not UNUSED.match(f"{net}.{name}")}
        state.update(take(used, of_net, own, folder / f"{net}_{saved}.pth"))
    return {name: state[name] for name in own}


def import_vast(folder: Path, network: VAST, clip: Mapping[str, Tensor], saved: str = "best") -> dict[str, Tensor]:
    """The two files -> a state dict for `network`, which has the published sizes.

    The published files hold no latent captions, so there are none.  `frame` must be the picture tower of `clip`, the
    state dict that evaluation asks.  Raises InputError that names the file and the parameter.
    """
    sound, frame = (folder / f"{net}_{saved}.pth" for net in VAST_NETS)
    unet = network.unet.state_dict()
    taken = take(read_file(sound), vast_names(unet), unet, sound)
    tower = {name: value for name, value in clip.items() if name.startswith("visual.") or name == "logit_scale"}
    _refuse_other_tower(read_file(frame), tower, frame)
    return {
        **{f"unet.{name}": value for name, value in taken.items()},
        "captions": torch.zeros(0, network.captions.shape[1]),
    }


def read_file(path: Path) -> dict[str, Tensor]:
    """A state dict as torch saved it, without what DataParallel puts before its names. Raises InputError."""
    named: dict[str, Tensor] = {}
    for name, value in load_torch(path).items():
        bare = str(name).removeprefix("module.")
        if bare in named:
            raise InputError(f"{path} holds {bare} twice, with and without module. before it")
        named[bare] = value
    return named


def take(
    published: Mapping[str, Tensor], names: Mapping[str, str], own: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """One file's tensors under our names; `names`: ours -> theirs, `own`: tensors of the shapes that they must have.

    A norm's count of steps, which torch before 0.4.1 did not keep, is 0 where it is missing.  Raises InputError that
    names the first parameter that is missing, of another shape, or unknown.
    """
    counts = {theirs for theirs in names.values() if theirs.endswith("num_batches_tracked")}
    published = {**dict.fromkeys(counts, torch.tensor(0)), **published}
    for ours, theirs in names.items():
        if theirs not in published:
            raise InputError(f"{path} lacks {theirs}, which the published network has")
        if published[theirs].shape != own[ours].shape:
            raise InputError(
                f"{path}: {theirs} has shape {tuple(published[theirs].shape)}, the published network's"
                f" {tuple(own[ours].shape)}"
            )
    if unknown := sorted(set(published) - set(names.values())):
        raise InputError(f"{path} holds {unknown[0]}, which the published network has not")
    # contiguous copies: two of ours may be one of theirs, and a file stores each
    return {ours: published[theirs].to(own[ours].dtype).clone() for ours, theirs in names.items()}


def _refuse_other_tower(published: Mapping[str, Tensor], tower: Mapping[str, Tensor], path: Path) -> None:
    """Raises InputError if the frozen picture tower is another CLIP's: evaluation asks the one of stage pretrained."""
    found = take(published, {name: name for name in tower}, tower, path)
    for name, value in tower.items():
        # half precision, in which CLIP's weights are published, rounds by 2^-11
        if value.is_floating_point() and not torch.allclose(found[name], value, rtol=1e-3, atol=1e-6):
            raise InputError(f"{path}: {name} has other values than the CLIP that evaluation asks: another CLIP's")


def import_folder(folder: Path, saved: str = "best", clip: Path = CLIP) -> tuple[dict[str, Tensor], About]:
    """The published files in a folder -> a state dict in our names, and what it tells of itself. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder")
    there = {net for net in CCOL_NETS if (folder / f"{net}_{saved}.pth").exists()}
    with torch.device("meta"):
        ccol, vast = CCoL(**ABOUT_CCOL.keywords), VAST(**ABOUT_VAST.keywords)
        pixels = SoundOfPixels(**ABOUT_PIXELS.keywords)
    if there - set(PIXELS_NETS):
        return import_ccol(folder, ccol, saved), ABOUT_CCOL
    if there - set(VAST_NETS):
        return import_pixels(folder, pixels.state_dict(), saved=saved), ABOUT_PIXELS
    teacher = load_weights(clip)
    return import_vast(folder, vast, teacher, saved), replace(ABOUT_VAST, clip=hash_of(teacher))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m avsep.published", description="The authors' checkpoints as ours.")
    words = parser.add_subparsers(dest="word", required=True)
    fetching = words.add_parser("fetch", help="bring what the authors publish")
    fetching.add_argument("source", choices=sorted(SOURCES), help="whose; ccol-data are CCoL's frames and detections")
    fetching.add_argument("out", type=Path, help="a folder, for example checkpoints/authors/ccol")
    importing = words.add_parser("import", help="their files of weights -> a file of ours")
    importing.add_argument(
        "folder", type=Path, help="holds CCoL's six .pth files, Sound of Pixels' three, or VAST's two"
    )
    importing.add_argument("out", type=Path, help="checkpoints/cyclic/best.safetensors; baseline's, trimodal's")
    importing.add_argument("--saved", choices=SAVED, default="best", help="which of both that the trainings keep")
    importing.add_argument("--clip", type=Path, default=CLIP, help="VAST: the CLIP that evaluation asks")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if given.word == "fetch":
            fetch(SOURCES[given.source], given.source, given.out)
        else:
            write_imported(given.folder, given.out, given.saved, given.clip)
    except InputError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError as error:
        sys.exit(f"error: {given.out} cannot be written: {error.strerror}")


def write_imported(folder: Path, out: Path, saved: str, clip: Path) -> None:
    """The published files in `folder` as our file of weights `out`. Raises InputError."""
    if out.suffix != ".safetensors" or out.is_dir():
        raise InputError(f"{out} is no file of weights: give checkpoints/cyclic/best.safetensors or the like")
    state, about = import_folder(folder, saved, clip)
    save_weights(out, state, about.entry)
    logging.info("%s: %d tensors, %d numbers", out, len(state), sum(value.numel() for value in state.values()))


if __name__ == "__main__":
    main()
