import hashlib
import multiprocessing
import os
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avsep.errors import InputError
from avsep.media.frames import (
    MEAN,
    STD,
    count_frames,
    crop_and_resize,
    frame_name,
    normalise,
    pack,
    read_frame,
    read_jpeg,
)
from tests.helpers.factories import read_archive, write_archive


def gradient(width: int, height: int) -> Image.Image:
    """Red tells the column, green the row, blue is full: a bar would be black."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[..., 0] = np.linspace(0, 255, width)[None, :]
    picture[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(picture)


@pytest.mark.parametrize("box", [None, (0, 0, 10, 200), (300, 5, 320, 15), (100, 100, 102, 102), (0, 0, 1, 240)])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 1.0), (0.3, 0.9)])
def test_any_box_gives_a_full_square(box: tuple[int, int, int, int] | None, corner: tuple[float, float]) -> None:
    square = crop_and_resize(gradient(320, 240), box, 40, 32, *corner)
    assert square.shape == (32, 32, 3) and square.dtype == np.uint8
    assert (square[..., 2] == 255).all()


def test_evaluation_is_short_side_then_centre_crop() -> None:
    picture = gradient(320, 240)
    square = crop_and_resize(picture, (10, 20, 210, 120), 50, 50)
    plain = picture.crop((10, 20, 210, 120)).resize((100, 50), Image.Resampling.BICUBIC).crop((25, 0, 75, 50))
    np.testing.assert_allclose(square, np.asarray(plain), atol=1)


def test_training_is_short_side_then_a_crop_at_the_offsets() -> None:
    picture = gradient(320, 160)
    plain = picture.resize((160, 80), Image.Resampling.BICUBIC)
    for across, down in ((0.0, 0.0), (1.0, 0.5), (0.25, 1.0)):
        left, top = round(across * (160 - 64)), round(down * (80 - 64))
        square = crop_and_resize(picture, None, 80, 64, across, down)
        np.testing.assert_allclose(square, np.asarray(plain.crop((left, top, left + 64, top + 64))), atol=1)


def test_flip_mirrors() -> None:
    picture = gradient(320, 240)
    for offsets in ((0.5, 0.5), (0.2, 0.7)):
        straight = crop_and_resize(picture, None, 40, 32, *offsets)
        np.testing.assert_array_equal(crop_and_resize(picture, None, 40, 32, *offsets, flip=True), straight[:, ::-1])
    assert not np.array_equal(straight, straight[:, ::-1])


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (-1, 0, 5, 5), (0, 0, 321, 9), (0, 0, 9, 241)])
def test_a_box_that_is_none_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="no area within"):
        crop_and_resize(gradient(320, 240), box, 40, 32)


def test_normalised_pictures() -> None:
    pictures = np.random.default_rng([0]).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
    normal = normalise(pictures)
    assert normal.shape == (2, 3, 3, 4, 5) and normal.dtype == np.float32
    expected = (pictures[1, 2, 3, 4, 1] / 255 - MEAN[1]) / STD[1]
    assert normal[1, 2, 1, 3, 4] == pytest.approx(expected, abs=1e-6)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of the frames 1 to 12, grey as their numbers, and a sound."""
    folder = tmp_path / "a.mp4"
    folder.mkdir()
    for number in range(1, 13):
        Image.new("L", (8, 6), number).save(folder / frame_name(number))
    (folder / "sound.wav").write_bytes(b"no frame")
    return folder


@pytest.fixture
def archive(pictures: Path, tmp_path: Path) -> Path:
    assert pack(pictures, tmp_path / "out/a.mp4.zip") == 12
    return tmp_path / "out/a.mp4.zip"


def test_frames_are_read_by_number_as_rgb(pictures: Path, archive: Path) -> None:
    assert count_frames(archive) == 12
    for number in (12, 1, 7):
        picture = read_frame(archive, number)
        assert picture.mode == "RGB" and picture.size == (8, 6) and picture.getpixel((3, 3)) == (number,) * 3
        assert read_jpeg(archive, number) == (pictures / frame_name(number)).read_bytes()
    assert list(read_archive(archive)) == [frame_name(number) for number in range(1, 13)]


def test_the_same_pictures_give_the_same_bytes(pictures: Path, archive: Path, tmp_path: Path) -> None:
    """Whenever they were written, in whatever order, and with whatever rights: hashes decide what is redone."""
    again = tmp_path / "again"
    again.mkdir()
    for name in reversed(sorted(path.name for path in pictures.glob("*.jpg"))):
        shutil.copyfile(pictures / name, again / name)
        os.utime(again / name, (0, 0))
        (again / name).chmod(0o600)
    pack(again, tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == archive.read_bytes()
    assert [path.name for path in archive.parent.iterdir()] == ["a.mp4.zip"]


def test_an_archive_is_the_same_everywhere(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in (1, 2):
        (tmp_path / "a" / frame_name(number)).write_bytes(b"\xff\xd8 of %d" % number)
    pack(tmp_path / "a", tmp_path / "a.zip")
    found = hashlib.sha256((tmp_path / "a.zip").read_bytes()).hexdigest()
    assert found == "2fe6dad9c050ccd2cc860c70daa193b8d678ed79bb31fa9bdcae993b294fa110"


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda folder: (folder / "000003.jpg").unlink(), r"holds '000004\.jpg' in place of 000003\.jpg"),
        (lambda folder: (folder / "000000.jpg").touch(), r"holds '000000\.jpg' in place of 000001\.jpg"),
        (lambda folder: (folder / "000003.jpg").write_text("text"), r"000003\.jpg is no JPEG"),
        (lambda folder: [path.unlink() for path in folder.glob("*.jpg")], "holds no frames 000001.jpg"),
        (shutil.rmtree, "holds no frames"),
    ],
)
def test_other_folders_are_not_packed(
    pictures: Path, tmp_path: Path, spoil: Callable[[Path], object], match: str
) -> None:
    spoil(pictures)
    with pytest.raises(InputError, match=match):
        pack(pictures, tmp_path / "out/a.zip")
    assert not list(tmp_path.glob("out/*")) and not list(tmp_path.glob("out/.*"))


def test_missing_and_unreadable_frames_are_named(archive: Path) -> None:
    with pytest.raises(InputError, match=r"a\.mp4\.zip holds no 000013\.jpg"):
        read_frame(archive, 13)
    members = read_archive(archive)
    write_archive(archive, {**members, "000002.jpg": members["000002.jpg"][:100]})
    with pytest.raises(InputError, match=r"a\.mp4\.zip: 000002\.jpg is no picture"):
        read_frame(archive, 2)
    archive.unlink()
    for read in (count_frames, lambda path: read_frame(path, 1)):
        with pytest.raises(InputError, match=r"a\.mp4\.zip is missing"):
            read(archive)


@pytest.mark.parametrize("names", [[], ["000002.jpg"], ["000001.jpg", "x"], ["../000001.jpg"], ["000001.jpg/"]])
def test_other_members_are_no_frames(tmp_path: Path, names: list[str]) -> None:
    write_archive(tmp_path / "a.zip", dict.fromkeys(names, b""))
    with pytest.raises(InputError, match=r"a\.zip holds"):
        count_frames(tmp_path / "a.zip")


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    """They might unfold to any size."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("000001.jpg", bytes(10_000_000))
    with pytest.raises(InputError, match=r"a\.zip: 000001\.jpg is not stored as it is"):
        read_frame(tmp_path / "a.zip", 1)


def test_a_damaged_archive_gives_its_pictures_or_one_line(archive: Path, tmp_path: Path) -> None:
    """Cut off anywhere, or with any bytes changed: never another picture, never another exception."""
    content, random = archive.read_bytes(), np.random.default_rng([0])
    right = {number: read_jpeg(archive, number) for number in range(1, 13)}
    refused = 0
    for trial in range(300):
        spoilt = bytearray(content)
        if trial % 2:
            del spoilt[random.integers(len(spoilt)) :]
        for place in random.integers(len(spoilt), size=4) if len(spoilt) else ():
            spoilt[place] = random.integers(256)
        path = tmp_path / f"{trial}.zip"
        path.write_bytes(spoilt)
        for number in right:
            try:
                assert read_jpeg(path, number) == right[number]
            except InputError as error:
                refused += 1
                assert "\n" not in str(error)
    assert 300 < refused < 3600


def test_a_file_that_takes_anothers_place_is_read(archive: Path, pictures: Path) -> None:
    """Archives stay open."""
    assert read_frame(archive, 1).getpixel((0, 0)) == (1, 1, 1)
    Image.new("L", (8, 6), 200).save(pictures / "000001.jpg")
    pack(pictures, archive)
    assert read_frame(archive, 1).getpixel((0, 0)) == (200, 200, 200)


def test_workers_and_threads_read_one_archive_at_once(archive: Path) -> None:
    """It is open in the process that they come from; a position that they shared would give each other's bytes."""
    read_frame(archive, 1)
    right = [number for number in range(1, 13) for _ in range(100)]

    def shade(number: int) -> int:
        return read_frame(archive, number).getpixel((0, 0))[0]  # type: ignore[index]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(shade, right)) == right
    with multiprocessing.get_context("fork").Pool(4) as workers:
        assert workers.starmap(_shade, [(archive, number) for number in right]) == right


def _shade(archive: Path, number: int) -> int:
    return read_frame(archive, number).getpixel((0, 0))[0]  # type: ignore[index]
