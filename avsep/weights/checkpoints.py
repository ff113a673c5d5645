"""Weights on disk: safetensors files, written whole or not at all, refused in one line if they do not fit.

A file holds a network's state dict and what it says of itself (avsep/weights/about.py), so it carries no code, no
optimiser state and no path of the machine that wrote it.  It has one metadata entry at most: with more, their order,
and so the file's bytes, would differ from process to process.
"""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from avsep.errors import InputError
from avsep.files.reading import reading
from avsep.files.whole import whole_file

AGAIN = "make it again with `dvc repro`"


def save_weights(
    path: Path | str,
    state_dict: Mapping[str, Tensor],
    metadata: tuple[str, str] | None = None,
) -> None:
    """Writes a state dict, with one metadata entry (key, text) at most, as `path`; makes its folder."""
    # safetensors stores plain row-major tensors; a channels_last one has another order in memory
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    content = safetensors.torch.save(tensors, metadata=None if metadata is None else dict([metadata]))
    # written by Python, whose errors tell what the system has said: no room, no right
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(content)


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """The state dict in `path`, on the CPU. Raises InputError if it is missing or no safetensors file."""
    with reading(path, "safetensors file", AGAIN):
        return safetensors.torch.load_file(path)


def hash_of(weights: Mapping[str, Tensor]) -> str:
    """The SHA-256 of a state dict: names, types, shapes and values, whatever file they lie in and what it says."""
    whole = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        whole.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def load_torch(path: Path) -> dict[str, Tensor]:
    """A state dict as torch.save wrote it, on the CPU.

    Raises InputError for a file that is none, or damaged, and for numbers that are none.
    """
    with reading(path, "state dict saved by torch"):
        _refuse_compressed(path)
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # torch's words advise to load it without safety
            raise InputError(f"{path} is no file of torch's that holds named tensors alone") from None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
        for name, value in weights.items()
    ):
        raise InputError(f"{path} is no state dict, it holds more than named tensors: save `model.state_dict()`")
    refuse_not_finite(weights, path)
    return weights


def _refuse_compressed(path: Path) -> None:
    """What torch writes is not compressed; what is might unfold to any size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed")


def read_metadata(path: Path | str, key: str) -> str:
    """The metadata text under `key` in `path`. Raises InputError if the file or the entry is missing."""
    text = find_metadata(path, key)
    if text is None:
        raise InputError(f"{path} has no metadata {key!r}: it is no file of the stage that should have made it")
    return text


def find_metadata(path: Path | str, key: str) -> str | None:
    """The metadata text under `key` in `path`, None if there is none. Raises InputError if the file is missing."""
    with reading(path, "safetensors file", AGAIN), safetensors.safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get(key)


def load_into(network: nn.Module, weights: Mapping[str, Tensor], origin: Path | str) -> None:
    """Loads a state dict strictly. Raises InputError that names the first parameter of `origin` that does not fit."""
    own = network.state_dict()
    refuse_not_finite(weights, origin)
    for name, tensor in own.items():
        if name not in weights:
            raise InputError(f"{origin} lacks {name}, which the network of params.yaml has: another network's")
        if weights[name].shape != tensor.shape:
            raise InputError(
                f"{origin}: {name} has shape {tuple(weights[name].shape)}, the network of params.yaml"
                f" {tuple(tensor.shape)}: weights of other params"
            )
        if weights[name].is_floating_point() != tensor.is_floating_point():
            raise InputError(f"{origin}: {name} is {weights[name].dtype}, that of the network {tensor.dtype}")
    if unknown := sorted(set(weights) - set(own)):
        raise InputError(f"{origin} holds {unknown[0]}, which the network of params.yaml has not: another network's")
    network.load_state_dict(dict(weights))


def refuse_not_finite(weights: Mapping[str, Tensor], origin: Path | str) -> None:
    """Raises InputError for NaN or infinity: all that comes out would be NaN, or silence, without a word."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise InputError(f"{origin}: {name} holds NaN or infinity: weights of a training that went wrong")
