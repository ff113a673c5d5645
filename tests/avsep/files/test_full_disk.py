"""A disk that is full, or not to be written to, amid every kind of write: the system's word, and nothing half written.

A library's own words for it are many; `run` and `avsep` tell the system's in one line.
"""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from avsep.files.hashes import Hashes
from avsep.files.ledgers import Ledger
from avsep.files.whole import fault_of_the_disk, whole_file, whole_folder, write_json, write_rows, write_table
from avsep.media.detections import write_detections
from avsep.media.frames import pack
from avsep.media.wav import write_wav
from avsep.weights.checkpoints import save_weights
from tests.helpers.disks import fill, make_read_only, small_disk

SIZE = 1 << 20
LEFT = 64 << 10  # bytes; each write below needs more
MANY = 200_000


def write_pictures(path: Path) -> None:
    """As stage extract packs its frames."""
    folder = path.parent.parent / "pictures"
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    for number in range(1, 9):
        Image.fromarray(noise).save(folder / f"{number:06d}.jpg")
    pack(folder, path)


def write_in_folder(path: Path) -> None:
    with whole_folder(path) as folder:
        (folder / "first").write_text("x")
        (folder / "second").write_bytes(bytes(MANY))


def write_by_torch(path: Path) -> None:
    with whole_file(path) as temporary:
        torch.save({"a": torch.zeros(MANY)}, temporary)


def write_by_scipy(path: Path) -> None:
    with whole_file(path) as temporary:
        wavfile.write(temporary, 8000, np.zeros(MANY, np.float32))


def write_by_pillow(path: Path) -> None:
    with whole_file(path) as temporary:
        noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
        Image.fromarray(noise).save(temporary, "PNG")


def record(path: Path) -> None:
    with Ledger(path, ["reason"]) as ledger:
        for number in range(4):
            ledger.record(("cello", str(number)), "0" * 64, [], reason="x" * MANY)


WRITES: dict[str, Callable[[Path], None]] = {
    "json": lambda path: write_json(path, ["x" * MANY]),
    "rows": lambda path: write_rows(path, [["x" * 1000]] * 500),
    "table": lambda path: write_table(pd.DataFrame({"a": np.arange(MANY)}), path),
    "detections": lambda path: write_detections(path, np.zeros((MANY // 4, 7), np.float32)),
    "sound": lambda path: write_wav(path, np.zeros(MANY), 8000),
    "weights": lambda path: save_weights(path, {"a": torch.zeros(MANY)}),
    "frames": write_pictures,
    "folder": write_in_folder,
    "ledger": record,
    "torch": write_by_torch,
    "scipy": write_by_scipy,
    "pillow": write_by_pillow,
}
each = pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", SIZE) as place:
        yield place


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "filled"}


@each
def test_a_full_disk_is_told_as_such_and_leaves_what_was_there(write: Callable[[Path], None], disk: Path) -> None:
    (disk / "old").write_text("whole")
    (disk / "ledger.csv").touch()
    (disk / "ledger.csv").unlink()
    fill(disk, LEFT)
    with pytest.raises(OSError) as raised:
        write(disk / "out")
    assert raised.value.errno == errno.ENOSPC, repr(raised.value)
    left = {name: content for name, content in held(disk).items() if not name.endswith(".journal")}
    assert left == {"old": b"whole"}, "something half written is left"


@each
def test_a_disk_that_cannot_be_written_to_is_told_as_such(write: Callable[[Path], None], disk: Path) -> None:
    make_read_only(disk)
    with pytest.raises(OSError) as raised:
        write(disk / "out")
    assert raised.value.errno == errno.EROFS, repr(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@each
def test_a_folder_without_the_right_to_write(write: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        write(folder / "out")


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EACCES, errno.EPERM])
def test_what_the_system_said_goes_on_as_it_is(number: int, tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised, whole_file(tmp_path / "out") as temporary:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))
    assert raised.value.errno == number
    assert list(tmp_path.iterdir()) == []


def test_other_faults_are_none_of_the_disk(tmp_path: Path) -> None:
    assert fault_of_the_disk(tmp_path) is None
    with pytest.raises(RuntimeError, match="of ours"), whole_file(tmp_path / "out"):
        raise RuntimeError("of ours")


def test_hashes_are_found_on_a_full_disk_too(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    os.utime(tmp_path / "file", ns=(0, 0))
    fill(disk, 0)
    assert Hashes(disk / ".hashes").sha256(tmp_path / "file") is not None


def test_what_a_full_disk_stopped_goes_on_when_there_is_room(disk: Path) -> None:
    fill(disk, LEFT)
    with pytest.raises(OSError), Ledger(disk / "ledger.csv", ["reason"]) as ledger:
        ledger.record(("cello", "first"), "0" * 64, [], reason="short")
        ledger.record(("cello", "second"), "0" * 64, [], reason="x" * MANY)
    (disk / "filled").unlink()
    with Ledger(disk / "ledger.csv", ["reason"]) as again:
        assert ("cello", "first") in again.entries
        assert ("cello", "second") not in again.entries, "a line that is cut off was taken for whole"
