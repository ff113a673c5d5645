"""Weights on disk: safetensors files, written whole or not at all, refused in one line if they do not fit.

A file holds a network's state dict and what it says of itself (avsep/weights/about.py), so it carries no code, no
optimiser state and no path of the machine that wrote it.  It has one metadata entry at most: with more, their order,
and so the file's bytes, would differ from process to process.
"""

import hashlib
import json
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from avsep.errors import InputError
from avsep.files.whole import whole_file


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
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unreadable(path, error) from None


def hash_of(weights: Mapping[str, Tensor]) -> str:
    """The SHA-256 of a state dict: names, types, shapes and values, whatever file they lie in and what it says."""
    whole = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        whole.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def load_torch(path: Path) -> dict[str, Tensor]:
    """A state dict as torch.save wrote it, on the CPU. Raises InputError for a file that is none, or damaged."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    except pickle.UnpicklingError:  # torch's words advise to load it without safety
        raise InputError(f"{path} is no file of torch's that holds named tensors alone") from None
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, struct.error) as error:  # of a damaged file
        raise InputError(f"{path} is no state dict saved by torch, or damaged ({type(error).__name__})") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path} is no state dict, it holds more than named tensors: save `model.state_dict()`")
    return weights


def read_metadata(path: Path | str, key: str) -> str:
    """The metadata text under `key` in `path`. Raises InputError if the file or the entry is missing."""
    text = find_metadata(path, key)
    if text is None:
        raise InputError(f"{path} has no metadata {key!r}: it is no file of the stage that should have made it")
    return text


def find_metadata(path: Path | str, key: str) -> str | None:
    """The metadata text under `key` in `path`, None if there is none. Raises InputError if the file is missing."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(key)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unreadable(path, error) from None


def load_into(network: nn.Module, weights: Mapping[str, Tensor], origin: Path | str) -> None:
    """Loads a state dict strictly. Raises InputError that names the first parameter of `origin` that does not fit."""
    own = network.state_dict()
    for name, tensor in own.items():
        if name not in weights:
            raise InputError(f"{origin} lacks {name}, which the network of params.yaml has: another network's")
        if weights[name].shape != tensor.shape:
            raise InputError(
                f"{origin}: {name} has shape {tuple(weights[name].shape)}, the network of params.yaml"
                f" {tuple(tensor.shape)}: weights of other params"
            )
    if unknown := sorted(set(weights) - set(own)):
        raise InputError(f"{origin} holds {unknown[0]}, which the network of params.yaml has not: another network's")
    network.load_state_dict(dict(weights))


def _unreadable(path: Path | str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} is missing: run `dvc repro`, which makes it")
    return InputError(f"{path} is no readable safetensors file ({error}): make it again with `dvc repro`")
