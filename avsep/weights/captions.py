"""The latent captions on disk: an embedding for each training video, and beside them what each was made from.

captions.safetensors holds `embeddings` (V, Q).  Its one metadata entry names the videos in that order, and the hash of
the CLIP's weights that read them: a caption of another CLIP means nothing.  What learns from captions depends on this
file alone.

captions.csv is its ledger: of each video the fingerprint of what its caption was made from, the cosines with CLIP's
picture before and after, and the hash of its embedding.  Code that changes and leaves the captions as they were changes
the ledger, and trains nothing anew.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from avsep.errors import InputError
from avsep.files.reading import MOST_TEXT, reading, refusing
from avsep.files.whole import write_table
from avsep.weights.checkpoints import load_weights, read_metadata, save_weights
from avsep.weights.clip import CLIP

CAPTIONS = Path("checkpoints/captions/captions.safetensors")
COLUMNS = {"video": str, "fingerprint": str, "cosine_before": float, "cosine_after": float, "embedding": str}


@dataclass(frozen=True)
class Caption:
    """What is known of one video's."""

    fingerprint: str
    embedding: Tensor  # (Q,)
    before: float  # cosine with the picture
    after: float


def save_captions(captions: Mapping[str, Caption], clip: str, path: Path = CAPTIONS) -> None:
    """Writes captions by their videos' names, sorted, and their ledger, each whole or not at all.

    `clip`: the hash of CLIP's weights.
    """
    known = dict(sorted(captions.items()))
    embeddings = torch.stack([caption.embedding for caption in known.values()])
    save_weights(path, {"embeddings": embeddings}, ("captions", json.dumps({"clip": clip, "videos": list(known)})))
    # after the embeddings: if the run is killed in between, their hashes are not those of the older ledger
    rows = [(name, c.fingerprint, c.before, c.after, _hash(c.embedding)) for name, c in known.items()]
    write_table(pd.DataFrame(rows, columns=list(COLUMNS)), _ledger(path))


def load_captions(path: Path = CAPTIONS) -> dict[str, Caption]:
    """The captions that are as the ledger knows them, by their videos' names.

    Of a file that cannot be read all are to be made anew: a line says so.
    """
    if not path.is_file():
        return {}
    try:
        embeddings, _ = load_embeddings(path)
        rows = _read_ledger(_ledger(path))
    except InputError as error:
        logging.warning("%s; all captions are made anew", error)
        return {}
    return {
        name: Caption(made_from, embeddings[name], before, after)
        for name, made_from, before, after, digest in rows.itertuples(index=False)
        if name in embeddings and _hash(embeddings[name]) == digest
    }


def load_embeddings(path: Path = CAPTIONS) -> tuple[dict[str, Tensor], str]:
    """The embeddings (Q,) by their videos' names, and the hash of the CLIP that read them. Raises InputError."""
    state, about = load_weights(path), read_metadata(path, "captions")
    with refusing(f"{path} is no file of latent captions", "run stage captions again"):
        known, embeddings = json.loads(about), state["embeddings"]
        if embeddings.ndim != 2 or embeddings.dtype != torch.float32:
            raise ValueError(f"embeddings are {embeddings.dtype} {tuple(embeddings.shape)}")
        if not torch.isfinite(embeddings).all():
            raise ValueError("an embedding holds NaN or infinity")
        return dict(zip(known["videos"], embeddings, strict=True)), known["clip"]


def captions_of(videos: Sequence[str], clip: str, path: Path = CAPTIONS) -> Tensor:
    """The captions (V, Q) of just these videos. Raises InputError if the file is of others, or of another CLIP."""
    known, of = load_embeddings(path)
    if of != clip:
        raise InputError(f"{path} is of another CLIP than {CLIP}: run stage captions")
    if missing := sorted(set(videos) - set(known)):
        raise InputError(f"{path} has no caption of {missing[0]}: run stage captions, which makes one")
    if unknown := sorted(set(known) - set(videos)):
        raise InputError(f"{path} is of other videos, {unknown[0]} is none to train on: run stage captions")
    return torch.stack([known[name] for name in videos])


def _ledger(path: Path) -> Path:
    return path.with_suffix(".csv")


def _read_ledger(path: Path) -> pd.DataFrame:
    """Raises InputError if it is missing, or none of this version."""
    with reading(path, "ledger of captions", most=MOST_TEXT):
        # cosines as they were, to the last bit, so by way of text; a video may be called NA
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        if list(rows.columns) != list(COLUMNS):
            raise InputError(f"{path} is no ledger of captions of this version")
        return rows.astype(COLUMNS)


def _hash(embedding: Tensor) -> str:
    return hashlib.sha256(embedding.contiguous().numpy().tobytes()).hexdigest()
