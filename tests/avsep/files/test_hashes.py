import hashlib
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from avsep.files import hashes
from avsep.files.hashes import Hashes


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as long unchanged, however new they are."""
    monkeypatch.setattr(hashes, "COARSE", -1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read since it was last cleared."""
    names: list[str] = []
    work = hashlib.file_digest

    def counted(file: object, algorithm: str) -> object:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return work(file, algorithm)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    return path


def expected(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_read_once(file: Path, tmp_path: Path, read: list[str]) -> None:
    for _ in range(3):
        known = Hashes(tmp_path / ".hashes")
        assert known.sha256(file) == known.sha256(file) == expected(file)
        known.close()
    assert known.sha256(file) == expected(file), "closed and used again"
    assert read == ["a.mp4"]


def overwritten(file: Path) -> None:
    file.write_bytes(b"two")


def longer(file: Path) -> None:
    file.write_bytes(b"three")


def overwritten_with_its_times_set_back(file: Path) -> None:
    status = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced_by_one_of_its_times(file: Path) -> None:
    status, other = file.stat(), file.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, file)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "change", [overwritten, longer, overwritten_with_its_times_set_back, replaced_by_one_of_its_times]
)
def test_a_changed_file_is_read_again(file: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    """Also if its size and the time of its last change are what they were."""
    known = Hashes(tmp_path / ".hashes")
    first = known.sha256(file)
    change(file)
    assert known.sha256(file) == expected(file) != first
    file.unlink()
    assert known.sha256(file) is None


def test_a_file_that_just_changed_is_not_trusted(file: Path, tmp_path: Path, read: list[str]) -> None:
    """It may change again within the same tick of the clock."""
    known = Hashes(tmp_path / ".hashes")
    os.utime(file, (0, 0))  # bytes of long ago, put there now
    for _ in range(2):
        assert known.sha256(file) == expected(file)
    assert read == ["a.mp4", "a.mp4"]


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, work = Hashes(tmp_path / ".hashes"), hashlib.file_digest

    def changing(opened: object, algorithm: str) -> object:
        found = work(opened, algorithm)  # type: ignore[arg-type]
        file.write_bytes(b"two")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", changing)
        assert known.sha256(file) == hashlib.sha256(b"one").hexdigest()
    assert known.sha256(file) == expected(file)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", [b"no database", b"", "cut off", "written over"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: bytes | str, read: list[str]) -> None:
    files = [tmp_path / f"{number}.mp4" for number in range(200)]
    for file in files:
        file.write_text(file.name)
    right = [expected(file) for file in files]
    path = tmp_path / ".hashes"
    known = Hashes(path)
    assert [known.sha256(file) for file in files] == right
    known.close()
    content = path.read_bytes()
    assert len(content) > 20_000
    if damage == "cut off":
        path.write_bytes(content[:9000])
    elif damage == "written over":
        path.write_bytes(content[:5000] + bytes(8000) + content[13000:])
    else:
        assert isinstance(damage, bytes)
        path.write_bytes(damage)
    for _ in range(2):
        known = Hashes(path)
        assert [known.sha256(file) for file in files] == right
        known.close()
    read.clear()
    known = Hashes(path)
    assert [known.sha256(file) for file in files] == right and read == []


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("place", ["no_such_folder/.hashes", "folder"])
def test_without_a_cache_every_file_is_read(file: Path, tmp_path: Path, place: str, read: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    known = Hashes(tmp_path / place)
    assert known.sha256(file) == known.sha256(file) == expected(file)
    assert read == ["a.mp4", "a.mp4"]


@pytest.mark.usefixtures("settled")
def test_names_of_any_bytes(tmp_path: Path, read: list[str]) -> None:
    path = tmp_path / os.fsdecode(b"\xff'\"; --")
    path.write_bytes(b"one")
    known = Hashes(tmp_path / ".hashes")
    assert known.sha256(path) == known.sha256(path) == expected(path) and len(read) == 1


def _hash_all(known: Hashes, files: list[Path]) -> list[str | None]:
    return [known.sha256(file) for file in files]


@pytest.mark.usefixtures("settled")
def test_threads_and_processes_share_one_file(tmp_path: Path, read: list[str]) -> None:
    files = [tmp_path / f"{number}.mp4" for number in range(100)]
    for file in files:
        file.write_text(file.name)
    right = [expected(file) for file in files]
    known = Hashes(tmp_path / ".hashes")
    with ThreadPoolExecutor(4) as threads, multiprocessing.get_context("spawn").Pool(2) as workers:
        others = workers.starmap_async(_hash_all, [(known, files), (known, files[::-1])])
        own = [threads.submit(_hash_all, known, files) for _ in range(4)]
        assert all(one.result() == right for one in own)
        assert others.get() == [right, right[::-1]]
    read.clear()
    assert _hash_all(Hashes(known.path), files) == right and read == []


def test_where_the_memory_is_locked_one_question_waits_and_one_line_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connect = sqlite3.connect
    holder = connect(tmp_path / ".hashes", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **{**options, "timeout": 0.2}))
    known = Hashes(tmp_path / ".hashes")
    started = time.monotonic()
    for number in range(20):
        path = tmp_path / str(number)
        path.write_bytes(b"one")
        assert known.sha256(path) == expected(path)
    assert time.monotonic() - started < 1
    assert [record.message.count("cannot be used (database is locked)") for record in caplog.records] == [1]
    holder.close()
