"""The file of latent captions: an embedding for each training video, and what each was made from.

One safetensors file holds `embeddings` (V, Q) and the cosines with CLIP's picture `before` and `after` (V,).  Its one
metadata entry names the videos in that order, each with the fingerprint of what its caption was made from, and the
hash of the CLIP that read it: a caption of another CLIP means nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avsep.errors import InputError
from avsep.training.checkpoints import load_weights, read_metadata, save_weights

CAPTIONS = Path("checkpoints/captions/captions.safetensors")


@dataclass(frozen=True)
class Caption:
    """What is known of one video's."""

    fingerprint: str
    embedding: Tensor  # (Q,)
    before: float  # cosine with the picture
    after: float


def save_captions(captions: Mapping[str, Caption], clip: str, path: Path = CAPTIONS) -> None:
    """Writes captions by their videos' names, sorted, whole or not at all. `clip`: the hash of CLIP's weights."""
    known = dict(sorted(captions.items()))
    about = {"clip": clip, "videos": {name: caption.fingerprint for name, caption in known.items()}}
    state = {
        "embeddings": torch.stack([caption.embedding for caption in known.values()]),
        "before": torch.tensor([caption.before for caption in known.values()]),
        "after": torch.tensor([caption.after for caption in known.values()]),
    }
    save_weights(path, state, ("captions", json.dumps(about)))


def load_captions(path: Path = CAPTIONS) -> tuple[dict[str, Caption], str]:
    """The captions by their videos' names, and the hash of the CLIP that they are of. Raises InputError."""
    state, about = load_weights(path), json.loads(read_metadata(path, "captions"))
    rows = zip(state["embeddings"], state["before"].tolist(), state["after"].tolist(), strict=True)
    return (
        {name: Caption(made_from, *row) for (name, made_from), row in zip(about["videos"].items(), rows, strict=True)},
        about["clip"],
    )


def captions_of(videos: Sequence[str], clip: str, path: Path = CAPTIONS) -> Tensor:
    """The captions (V, Q) of just these videos. Raises InputError if the file is of others, or of another CLIP."""
    known, of = load_captions(path)
    if of != clip:
        raise InputError(f"{path} is of another CLIP than checkpoints/pretrained/clip.safetensors: run stage captions")
    if missing := sorted(set(videos) - set(known)):
        raise InputError(f"{path} has no caption of {missing[0]}: run stage captions, which makes one")
    if unknown := sorted(set(known) - set(videos)):
        raise InputError(f"{path} is of other videos, {unknown[0]} is none to train on: run stage captions")
    return torch.stack([known[name].embedding for name in videos])
