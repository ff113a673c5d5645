"""Checkpoints in the authors' format, out of our weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from avsep.published import CCOL_NETS, ccol_names, vast_names

State = Mapping[str, Tensor]


def write_published(folder: Path, files: Mapping[str, State], saved: str = "best", zipped: bool = True) -> Path:
    """What the published trainings keep of each net, beside their history; torch before 1.6 wrote no zip files."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"train": {"epoch": [], "err": []}}, folder / "history_latest.pth")
    for net, state in files.items():
        torch.save(state, folder / f"{net}_{saved}.pth", _use_new_zipfile_serialization=zipped)
    return folder


def ccol_files(state: State, unet_levels: int) -> dict[str, dict[str, Tensor]]:
    """The six files of a CCoL's weights, with a layer that the authors do not use. A shared trunk is put into both."""
    trunk = {name.replace(".trunk.", ".trunk_dilated."): v for name, v in state.items() if ".trunk." in name}
    own = {**trunk, **state}
    files: dict[str, dict[str, Tensor]] = {net: {} for net in CCOL_NETS}
    for ours, theirs in ccol_names(own, unet_levels).items():
        net, _, name = theirs.partition(".")
        files[net][name] = own[ours]
    files["grounding"]["fc_v1.weight"] = torch.zeros(2, 2)
    return files


def vast_files(state: State, clip: State) -> dict[str, dict[str, Tensor]]:
    """The two files of a VAST's weights, and of those of the CLIP that taught it."""
    unet = {name.removeprefix("unet."): value for name, value in state.items() if name.startswith("unet.")}
    names = vast_names(name for name in unet if not name.startswith("separated_norms."))
    tower = {name: value for name, value in clip.items() if name.startswith("visual.") or name == "logit_scale"}
    return {"sound": {theirs: unet[ours] for ours, theirs in names.items()}, "frame": tower}
