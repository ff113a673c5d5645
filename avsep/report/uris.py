"""Pictures within the page: bytes and planes -> data: URIs."""

import base64

import numpy as np
from numpy.typing import NDArray

from avsep.report import figures
from avsep.report.sounds import COLUMNS, ROWS, Recording

RANGE_DB = 60.0  # of a spectrogram, below the loudest of its mixture


def spectrogram_uri(recording: Recording, loudest: float) -> str:
    """`loudest`, in dB: what is brightest."""
    return png_uri(figures.heatmap(recording.decibels - loudest + RANGE_DB, RANGE_DB, "magma"))


def mask_uri(mask: NDArray[np.floating]) -> str:
    """(F, T) from 0 to 1, shrunk to a size that a page can hold many of."""
    return png_uri(figures.heatmap(shrunk(mask), 1.0, "viridis"))


def shrunk(plane: NDArray[np.floating], rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.floating]:
    """(F, T) -> at most (rows, columns): means of blocks; the last ones may be of fewer values."""
    for axis, most in ((0, rows), (1, columns)):
        block = -(-plane.shape[axis] // most)
        starts = np.arange(0, plane.shape[axis], block)
        counts = np.diff([*starts, plane.shape[axis]])
        plane = np.add.reduceat(plane, starts, axis=axis) / np.expand_dims(counts, 1 - axis)
    return plane


def png_uri(content: bytes) -> str:
    return data_uri("image/png", content)


def data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
