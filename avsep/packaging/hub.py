"""Packages by name: on the Hugging Face hub, `owner/name`, as in a folder.

What comes from the hub is safetensors and JSON under known names (avsep/packaging/folder.py), each held to its hash; no
code of it runs.  Tokens, caches and HF_HUB_OFFLINE are huggingface_hub's own.
"""

import re
from pathlib import Path

from avsep.errors import InputError
from avsep.packaging.folder import CARD, CONFIG, KNOWN, contents, is_package, read_package

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
PACKAGE, DEMO = Path("checkpoints/package"), Path("pretrained/demo")
OWN = {"checkpoints", "pretrained"}  # folders of ours: what is missing in them is asked of nobody


def default_model(checkout: Path = Path(__file__).parents[2]) -> Path:
    """The model that is taken if none is named: of this folder what was trained and measured, or the package, which may
    hold less; of the checkout that avsep runs from the package, or the copy of the demo's that git keeps.

    Raises InputError if there is none.
    """
    here = Path()
    measured = (here / "params.yaml").is_file() and (here / "metrics/evaluate.json").is_file()
    for folder, there in (
        (here, measured and any((here / "checkpoints").glob("*/best.safetensors"))),
        (here / PACKAGE, is_package(here / PACKAGE)),
        (checkout / PACKAGE, is_package(checkout / PACKAGE)),
        (checkout / DEMO, is_package(checkout / DEMO)),
    ):
        if there:
            return folder
    raise InputError("no model is here: give --model a folder or a name, or make one with `dvc repro`")


def located(model: Path | str, *, revision: str | None = None, local_files_only: bool = False) -> Path:
    """The folder that `model` is, or that the hub's package of that name has been downloaded to.

    `revision`: a branch, tag or commit of the hub's.  `local_files_only`: what was downloaded before, and no network.
    Raises InputError.
    """
    folder = Path(model)
    if folder.is_dir():
        if revision is not None:
            raise InputError(f"revision {revision!r} is asked of {folder}, a folder: a name of the hub has revisions")
        return folder
    name = folder.as_posix()
    owner = name.partition("/")[0]
    if not NAME.fullmatch(name) or ".." in name or owner in OWN or Path(owner).exists():
        raise InputError(
            f"{folder} is missing: give a folder with config.json (a package), or with params.yaml and checkpoints/,"
            " or owner/name of the Hugging Face hub"
        )
    from httpx2 import HTTPError  # here, since nothing else needs the hub
    from huggingface_hub import snapshot_download

    wanted = [CONFIG.as_posix(), CARD.as_posix(), *sorted(KNOWN)]
    try:
        found = Path(
            snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=local_files_only)
        )
    except (OSError, ValueError, HTTPError) as error:  # the hub lets its client's errors through
        raise InputError(
            f"{name} is no folder here, and did not come from the Hugging Face hub ({_first_line(error)})"
        ) from None
    if not is_package(found):
        raise InputError(f"{name} on the Hugging Face hub is no package of avsep: it has no {CONFIG}")
    return found


def push(
    folder: Path,
    name: str,
    *,
    private: bool = True,
    revision: str | None = None,
    message: str = "A package of avsep",
) -> str:
    """Brings a package to the hub, as `owner/name`, which is made if it is not there. Returns its address.

    `private`: of one that is made.  `revision`: a branch, made if it is not there.  Weights of an earlier package that
    this one has not are removed there.  Raises InputError.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of the hub's: owner/name")
    if not is_package(folder):
        raise InputError(f"{folder} is no package: stage package makes checkpoints/package")
    package = read_package(folder)
    from httpx2 import HTTPError  # here, since nothing else needs the hub
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=contents(package),
            delete_patterns=["checkpoints/*"],
            revision=revision,
            commit_message=message,
        )
    except (OSError, ValueError, HTTPError) as error:
        raise InputError(f"{folder} did not get to the hub as {name} ({_first_line(error)})") from None
    return str(address)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
