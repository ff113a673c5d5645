"""A package: all that Separator needs of a trained pipeline, in one folder that one can hand on.

    config.json     what it holds: params, classes, gates, scores, versions, and the hash of each file below
    README.md       the model card (avsep/packaging/card.py)
    checkpoints/    the weights, where a repository has them: pretrained/detector.safetensors, cyclic/best.safetensors

It holds safetensors and JSON alone (and the words of a detector that is asked in words), under names that are known
here; anything else that config.json names is refused.  Its bytes are a function of what it is made of.
"""

import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from avsep.errors import InputError
from avsep.files.reading import read_json
from avsep.files.whole import whole_folder, write_json, write_text
from avsep.systems.catalogue import STAGES, asked_of
from avsep.weights.about import About, own_version, read_about, refuse_other
from avsep.weights.ccol import CCOL, without_twins
from avsep.weights.checkpoints import hash_of, load_weights, save_weights
from avsep.weights.clip import CLIP
from avsep.weights.clip import KIND as CLIP_KIND
from avsep.weights.detectors import DETECTOR, FILES, ZERO_SHOT
from avsep.weights.detectors import KIND as DETECTOR_KIND
from avsep.weights.sound_of_pixels import SOUND_OF_PIXELS
from avsep.weights.ungated import UNGATED
from avsep.weights.vast import VAST

CONFIG, CARD = Path("config.json"), Path("README.md")
FORMAT = 1
MOST_BYTES = 16 << 30  # of a file of a package: hashing more would take minutes, and no weights have so many
KINDS = {kind.system: kind for kind in (CCOL, SOUND_OF_PIXELS, UNGATED, VAST)}

Dtype = Literal["float32", "float16"]


def weights_of(stage: str) -> Path:
    """Where a stage's best weights lie, in a repository as in a package."""
    return Path(f"checkpoints/{stage}/best.safetensors")


# What a package may hold beside CONFIG and CARD.
KNOWN = {
    path.as_posix()
    for path in (DETECTOR, CLIP, *(ZERO_SHOT / name for name in FILES), *(weights_of(stage) for stage in STAGES))
}


Measured = tuple[float | None, float | None, float | None]  # a value and its interval's ends; None: not defined


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What evaluation has measured."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    pairs: int  # how many test mixtures
    scenes: int
    systems: dict[str, dict[str, Measured]]  # by the names of the catalogue and of avsep/packaging/card.py's MEASURES


@dataclass(frozen=True, kw_only=True)
class Package:
    """What config.json tells."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    systems: list[str]  # the stages whose weights it holds, as evaluate.systems names them
    dtype: Dtype  # of the weights; networks compute in float32
    classes: list[str]  # of the detector's labels, or what one that is asked in words looks for
    gates: dict[str, float]  # see avsep/separating/gates.py
    params: dict[str, dict[str, Any]]  # sections of params.yaml
    scores: Scores
    versions: dict[str, str]  # of avsep and torch
    files: dict[str, str]  # path -> sha256
    # how sure the system that is asked in words is of a phrase: see avsep/separating/gates.py
    confidence: dict[str, Any] | None = None


def is_package(folder: Path) -> bool:
    """Whether a folder is a package, rather than a repository's root."""
    return (folder / CONFIG).is_file() and not (folder / "params.yaml").is_file()


def read_package(folder: Path) -> Package:
    """What a package holds, each file held to its hash. Raises InputError."""
    path = folder / CONFIG
    told = read_json(path, "get the package again", what="config.json of a package of avsep")
    if not isinstance(told, dict) or told.pop("model_type", None) != "avsep":
        raise InputError(f"{path} is of another library: no package of avsep")
    if (found := told.pop("format", None)) != FORMAT:
        made = f", written by avsep {told['versions']['avsep']}" if _has_version(told) else ""
        raise InputError(f"{path} has format {found!r}{made}; avsep {own_version()} reads {FORMAT}: take that version")
    try:
        package = TypeAdapter(Package).validate_json(json.dumps(told))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(f"{path} is damaged at {where}: {error.errors()[0]['msg'].lower()}") from None
    if wrong := sorted(name for name, gate in package.gates.items() if not math.isfinite(gate)):
        raise InputError(f"{path} is damaged at gates.{wrong[0]}: it is no finite number")
    for name, sha256 in package.files.items():
        if name not in KNOWN:
            raise InputError(f"{path} names {name!r}, which no package holds: it is not loaded")
        if _hash(folder / name) != sha256:
            raise InputError(f"{folder / name} is missing or not what {CONFIG} tells of: get the package again")
    needed = {DETECTOR.as_posix(), *(weights_of(stage).as_posix() for stage in package.systems)}
    if lacking := sorted(needed - set(package.files)):
        raise InputError(f"{path} names no {lacking[0]}, which its systems need: get the package again")
    return package


def write_package(
    folder: Path,
    *,
    root: Path,
    systems: Sequence[str],
    dtype: Dtype,
    classes: Sequence[str],
    gates: Mapping[str, float],
    confidence: Mapping[str, Any] | None = None,
    params: Mapping[str, dict[str, Any]],
    scores: Scores,
    card: Callable[[Package, Mapping[str, int]], str],
) -> Package:
    """Writes a package of what lies in the repository `root`, in place of what lay at `folder`.

    `systems`: stages of evaluate.systems.  `params`: sections of params.yaml as plain values, with which the weights
    must have been trained.  `card`: makes the text of README.md of the package and the bytes of each file of its
    weights.  Raises InputError.
    """
    with whole_folder(folder) as temporary:
        _write_detector(root, temporary, dtype, params)
        clip = None
        if any(entry.module == "vast" for entry in asked_of(systems)):
            about = refuse_other(root / CLIP, CLIP_KIND, params)
            clip = hash_of(load_weights(root / CLIP)), hash_of(_write(root, temporary, CLIP, about, dtype))
        for stage in systems:
            _write_system(root, temporary, stage, dtype, params, clip)
        names = sorted(path.relative_to(temporary).as_posix() for path in temporary.rglob("*") if path.is_file())
        package = Package(
            systems=list(systems),
            dtype=dtype,
            classes=list(classes),
            gates=dict(gates),
            confidence=None if confidence is None else dict(confidence),
            params=json.loads(json.dumps(dict(params))),
            scores=scores,
            versions={"avsep": own_version(), "torch": str(torch.__version__)},
            files={name: str(_hash(temporary / name)) for name in names},
        )
        told = {"model_type": "avsep", "format": FORMAT, **asdict(package)}
        if package.confidence is None:  # nothing in it is asked in words
            del told["confidence"]
        write_json(temporary / CONFIG, told, indent=2)
        write_text(temporary / CARD, card(package, {name: (temporary / name).stat().st_size for name in names}))
    return package


def copy_package(source: Path, folder: Path) -> int:
    """Copies what a package holds, and nothing else, in place of what lay at `folder`. Returns bytes.

    Raises InputError for what is no whole package, and for a folder that holds something else.
    """
    package = read_package(source)
    if folder.exists() and not is_package(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there, and no package: name another folder")
    with whole_folder(folder) as temporary:
        for name in contents(package):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, temporary / name)
    return size_of(folder, package)


def contents(package: Package) -> list[str]:
    """Paths of all that a package holds."""
    return [CONFIG.as_posix(), CARD.as_posix(), *package.files]


def size_of(folder: Path, package: Package) -> int:
    """Bytes of all that a package holds."""
    return sum((folder / name).stat().st_size for name in contents(package))


def _write_detector(root: Path, folder: Path, dtype: Dtype, params: Mapping[str, Any]) -> None:
    about = read_about(root / DETECTOR)
    if about.zero_shot is not None:  # another library's files, as it wrote them: their hash is told
        (folder / ZERO_SHOT).mkdir(parents=True)
        for path in sorted((root / ZERO_SHOT).iterdir()):
            shutil.copyfile(path, folder / ZERO_SHOT / path.name)
    elif about.classes:
        about = refuse_other(root / DETECTOR, DETECTOR_KIND, params)
    _write(root, folder, DETECTOR, about, dtype)


def _write_system(
    root: Path, folder: Path, stage: str, dtype: Dtype, params: Mapping[str, Any], clip: tuple[str, str] | None
) -> None:
    """`clip`: the hashes of CLIP's weights, as they are and as they are handed on."""
    path = weights_of(stage)
    about = read_about(root / path)
    if about.system not in KINDS:
        raise InputError(f"{root / path} holds weights of {about.system}, which separates nothing")
    taught = clip is not None and about.system == VAST.system
    about = refuse_other(root / path, KINDS[about.system], params, stage, clip=clip[0] if clip and taught else None)
    if clip is not None and taught:
        about = dataclasses.replace(about, clip=clip[1])
    _write(root, folder, path, about, dtype)


def _write(root: Path, folder: Path, path: Path, about: About, dtype: Dtype) -> dict[str, Tensor]:
    """Writes the weights `path` of `root` below `folder`, and returns them."""
    held = load_weights(root / path)
    if about.system == CCOL.system:
        held = without_twins(held)
    weights = {name: _as(tensor, dtype, f"{root / path}: {name}") for name, tensor in held.items()}
    save_weights(folder / path, weights, about.entry)
    return weights


def _as(tensor: Tensor, dtype: Dtype, where: str) -> Tensor:
    """A tensor as it is handed on: kernels in `dtype`; biases and norms, which are few and wide, as they are."""
    if dtype == "float32" or tensor.ndim < 2 or not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not torch.isfinite(half).all():
        raise InputError(f"{where} does not fit into float16: set package.dtype to float32")
    return half


def _hash(path: Path) -> str | None:
    """sha256 of a file's bytes; None if there is none."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _has_version(told: Mapping[str, Any]) -> bool:
    versions = told.get("versions")
    return isinstance(versions, dict) and isinstance(versions.get("avsep"), str)
