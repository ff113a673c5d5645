"""Batches of samples from worker processes, through shared memory or, where there is too little of it, through pipes.

torch's workers lay their batches into /dev/shm, of which docker gives a container 64 MB.  A batch that finds no room
there ends a training amid its steps.  Through a pipe a batch is copied twice more; its values are the same.
"""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils.collate import collate, default_collate_fn_map

SHARED = Path("/dev/shm")
AT_ONCE = 3  # batches that each worker has there: two ahead, one in use
SETS = 2  # of workers: training's and validation's
SHARE = 0.5  # of the room that is free now, which others may take too


class Loader(DataLoader[Any]):
    """As torch has it; with `pipes` no batch lies in shared memory. `waited`: the seconds that its batches took."""

    def __init__(self, data: Dataset[Any], *, pipes: bool = False, **options: Any) -> None:
        self.pipes, self.waited = pipes, 0.0
        if pipes:
            options["collate_fn"] = _plain
        super().__init__(data, **options)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = self._timed(super().__iter__())
        return (tree_map(_tensor, batch) for batch in batches) if self.pipes else batches

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            start = time.monotonic()
            batch = next(batches, None)
            self.waited += time.monotonic() - start
            if batch is None:
                return
            yield batch


def _plain(samples: list[Any]) -> Any:
    """A batch without tensors, which torch would send by shared memory, as it would stack them there."""
    batch = collate(samples, collate_fn_map={**default_collate_fn_map, Tensor: _stacked})
    return tree_map(lambda leaf: _Plain(leaf.numpy()) if isinstance(leaf, Tensor) else leaf, batch)


def _stacked(tensors: list[Tensor], **_: Any) -> Tensor:
    return torch.stack(tensors)


class _Plain:
    """Values that were a tensor's."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


def _tensor(leaf: Any) -> Any:
    return torch.from_numpy(leaf.values) if isinstance(leaf, _Plain) else leaf


def by_pipes(stage: str, sample: Any, batch: int, workers: int, processes: int) -> bool:
    """Whether a machine's `processes`, of so many workers each, would overfill the shared memory; says so in a line.

    `sample`: one of those that make a batch.
    """
    if workers == 0 or not SHARED.is_dir():
        return False
    size = batch * sum(leaf.nbytes for leaf in tree_leaves(sample) if isinstance(leaf, Tensor | np.ndarray))
    needed = size * AT_ONCE * SETS * workers * processes
    free = free_bytes(SHARED)
    if needed <= SHARE * free:
        return False
    logging.warning(
        "%s: %s has %.0f MB free, and the workers' samples may take %.0f MB: they come through pipes, which is slower;"
        " `docker run --ipc=host` or a larger --shm-size gives room",
        stage,
        SHARED,
        free / 1e6,
        needed / 1e6,
    )
    return True


def free_bytes(folder: Path) -> int:
    """What is free on the file system that a folder lies on."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
