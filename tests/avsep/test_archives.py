"""Archives of others: what is unpacked is plain files below one folder, or nothing."""

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from avsep.archives import is_archive, unpack
from avsep.errors import InputError

FILES = {"ckpt/a.pth": b"weights of a", "ckpt/b.pth": b"", "frames/x.mp4/000001.jpg": b"\xff\xd8" * 999}
KINDS = ["zip", "tar", "tar.gz", "tar.xz"]


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:].replace('tar', '')}") as tarred:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tarred.addfile(info, io.BytesIO(content))
    return path


def held(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_out_as_they_went_in(tmp_path: Path, kind: str) -> None:
    extra = {"__MACOSX/ckpt/._a.pth": b"of a Mac", "ckpt/.DS_Store": b"of a Mac"}
    path = archive(tmp_path / f"x.{kind}", {**FILES, **extra})
    assert is_archive(path)
    assert unpack(path, tmp_path / "out", 10_000) == sorted(FILES)
    assert held(tmp_path / "out") == FILES


def test_weights_are_no_archive(tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save({"a": torch.ones(2)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        assert not is_archive(tmp_path / "a.pth")
    for content in (b"", b"PK\x03\x04 and no more", b"plain text"):
        (tmp_path / "text").write_bytes(content)
        assert not is_archive(tmp_path / "text")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../evil", "no path inside"),
        ("/etc/evil", "no path inside"),
        ("a/../../evil", "no path inside"),
        ("a\\..\\evil", "no path inside"),
        ("a/new\nline", "no path inside"),
    ],
)
def test_no_path_leads_out(tmp_path: Path, kind: str, name: str, told: str) -> None:
    path = archive(tmp_path / f"x.{kind}", {"good": b"1", name: b"2"})
    with pytest.raises(InputError, match=told):
        unpack(path, tmp_path / "deep/out", 10_000)
    assert held(tmp_path) == {path.name: path.read_bytes()}, "nothing is written"


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        with tarfile.open(tmp_path / "x.tar", "w") as tarred:
            info = tarfile.TarInfo("out")
            info.type, info.linkname = kind, "/etc"
            tarred.addfile(info)
        with pytest.raises(InputError, match="'out' is a link or a device"):
            unpack(tmp_path / "x.tar", tmp_path / "out", 10_000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        link = zipfile.ZipInfo("out")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc")
    with pytest.raises(InputError, match="'out' is a link or a device"):
        unpack(tmp_path / "x.zip", tmp_path / "out", 10_000)
    assert not os.path.lexists(tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path, kind: str) -> None:
    path = archive(tmp_path / f"x.{kind}", {"a": bytes(40_000), "b": bytes(40_000)})
    with pytest.raises(InputError, match="holds more than the 50,000 bytes"):
        unpack(path, tmp_path / "out", 50_000)
    with pytest.raises(InputError, match="holds more than 1 files"):
        unpack(path, tmp_path / "out", 100_000, most_files=1)
    assert held(tmp_path) == {path.name: path.read_bytes()}


def test_one_name_twice_or_as_file_and_folder_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped, pytest.warns(UserWarning):
        zipped.writestr("a", "1")
        zipped.writestr("a", "2")
    with pytest.raises(InputError, match="'a' is in it twice"):
        unpack(tmp_path / "x.zip", tmp_path / "out", 100)
    for files in ({"a": b"1", "a/b": b"2"}, {"a/b": b"2", "a": b"1"}):
        with pytest.raises(InputError, match="is both a file and a folder in it"):
            unpack(archive(tmp_path / "y.tar", files), tmp_path / "out", 100)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="an archive without a file"):
        unpack(archive(tmp_path / "z.zip", {}), tmp_path / "out", 100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, kind: str) -> None:
    path = archive(tmp_path / f"x.{kind}", {"a": os.urandom(30_000), "b": b"2"})
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:300] + b"\0" * 300 + whole[600:]):
        path.write_bytes(content)
        try:
            unpack(path, tmp_path / "out", 100_000)
        except InputError as error:
            assert len(str(error).splitlines()) == 1
            assert not (tmp_path / "out").exists()
        else:
            assert kind in ("tar", "tar.gz"), "their files have no checks of their own"
        assert not list(tmp_path.glob(".*"))
