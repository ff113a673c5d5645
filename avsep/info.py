"""What is installed, and what is trained: for a bug report, and before a choice."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from avsep.errors import InputError
from avsep.files.reading import read_json
from avsep.packaging.folder import Scores, weights_of
from avsep.separate import Separator

PACKAGES = ("torch", "torchvision", "lightning", "transformers", "numpy", "av", "soundfile", "typer")
LIMITS = (
    "they hear mono, up to half of that rate; two things of one class are not told apart by words; what they learned"
    " from decides what they know"
)


def installed() -> dict[str, str]:
    """Versions, ffmpeg, devices, memory."""
    import torch  # here, since importing it takes a second

    from avsep.media.ffmpeg import ffmpeg
    from avsep.media.ffmpeg import version as ffmpeg_version
    from avsep.weights.about import own_version

    devices = [f"cpu ({os.cpu_count()} cores, {torch.get_num_threads()} threads)"]
    for number in range(torch.cuda.device_count()):
        one = torch.cuda.get_device_properties(number)
        devices.append(f"cuda:{number} ({one.name}, {one.total_memory / 2**30:.0f} GiB)")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "avsep": own_version(),
        "python": platform.python_version(),
        "system": platform.platform(),
        **{name: _version(name) for name in PACKAGES},
        "ffmpeg": f"{ffmpeg_version()} ({'from PATH' if shutil.which('ffmpeg') == ffmpeg() else 'carried along'})",
        "devices": ", ".join(devices),
        "memory": _memory(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _memory() -> str:
    """Of the machine, where it says so."""
    try:
        page, total, free = (os.sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    except (ValueError, OSError):  # another system's words
        return "unknown"
    return f"{page * total / 2**30:.1f} GiB, {page * free / 2**30:.1f} GiB free"


def trained(model: Path, revision: str | None = None) -> dict[str, Any]:
    """The systems of a folder, or of a package on the hub, with their scores, and what holds for all.

    Raises InputError.
    """
    separator = Separator.from_pretrained(model, revision=revision)
    root, package = separator.root, separator.package
    if package is None:
        scores, scenes = (_read(root / f"metrics/{name}.json") for name in ("evaluate", "evaluate_scenes"))
    else:
        scores, scenes = _packed(package.scores)
    systems = []
    for entry in separator.trained:
        own, several = _part(scores, entry.name), _part(scenes, entry.name)
        systems.append(
            {
                "system": entry.name,
                "title": entry.title,
                "asked": {"object": "by an object", "picture": "by a picture", "phrase": "in words"}[entry.asked],
                "tells_silence": entry.grounds,
                "trained": (root / weights_of(str(entry.stage))).is_file(),
                "nsdr": own.get("nsdr"),
                "si_sdri": own.get("si_sdri"),
                "scenes_snri": several.get("snri"),
                "scenes_leakage_db": several.get("leakage_db"),
            }
        )
    return {
        "systems": systems,
        "chosen": separator.system_for(words=False),
        "rate": separator.heard[0],
        "window_seconds": round(separator.heard[1], 3),
        "pairs": _part(scores, "pairs").get("evaluated"),
        "scenes": scenes.get("scenes"),
        "limits": LIMITS,
    }


def _packed(scores: Scores) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a package tells of its scores, as metrics/evaluate.json and metrics/evaluate_scenes.json have it."""
    own: dict[str, Any] = {"pairs": {"evaluated": scores.pairs}}
    scenes: dict[str, Any] = {"scenes": scores.scenes}
    for name, measured in scores.systems.items():
        values = {measure: value[0] for measure, value in measured.items()}
        own[name] = {key: values.get(key) for key in ("nsdr", "si_sdri")}
        scenes[name] = {key: values.get(f"scenes_{key}") for key in ("snri", "leakage_db")}
    return own, scenes


def _part(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    """Metrics, where there are some."""
    try:
        read = read_json(path)
    except InputError:
        return {}
    return read if isinstance(read, dict) else {}
