"""Files of one's own, streamed: any rate and channels; objects, words and boxes; all of the sound accounted for."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from avsep import Separator
from avsep.errors import InputError
from avsep.media.ffmpeg import ffmpeg
from avsep.separate import load
from avsep.separating import video as whole
from avsep.separating.streaming import Place
from tests.helpers.trained import FPS, RATE, pack, write_measured, write_trained

BOXES = ((4, 4, 28, 40), (30, 6, 60, 44))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trained(tmp_path_factory.mktemp("run") / "trained")


@pytest.fixture
def video(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    return make_video(tmp_path / "-a video %.mp4", seconds=3, sound="anoisesrc=a=0.2:r=44100:seed=1")


def sees(monkeypatch: pytest.MonkeyPatch, *boxes: tuple[int, int, int, int]) -> None:
    """The detector sees a thing of another class at each box, in all pictures."""

    def look(self: whole.Separator, frames: list[object]) -> np.ndarray:
        rows = [
            [number, label, 0.9, *box]
            for number in range(1, len(frames) + 1)
            for label, box in enumerate(boxes, start=1)
        ]
        return np.array(rows, np.float32).reshape(-1, 7)

    monkeypatch.setattr(whole.Separator, "look", look)


def decoded(path: Path, rate: int, channels: int) -> np.ndarray:
    command = [ffmpeg(), "-loglevel", "error", "-i", f"file:{path}", "-map", "0:a:0", "-f", "f32le", "pipe:1"]
    done = subprocess.run([*command[:-2], "f32le", "pipe:1"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<f4").reshape(-1, channels).T


@pytest.mark.parametrize(
    ("suffix", "options", "rate", "channels"),
    [
        (".mp4", "", 44100, 1),
        (".mkv", "-c:a flac -ar 48000 -ac 2", 48000, 2),
        (".mkv", "-c:a flac -ar 96000 -ac 6", 96000, 6),
        (".webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus -ar 48000", 48000, 1),
    ],
)
def test_sounds_and_residual_are_the_files_own_sound(
    suffix: str,
    options: str,
    rate: int,
    channels: int,
    root: Path,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sees(monkeypatch, *BOXES)
    path = tmp_path / f"own{suffix}"
    command = [ffmpeg(), "-y", "-loglevel", "error", "-i", f"file:{video}", *options.split(), f"file:{path}"]
    subprocess.run(command, check=True)
    pieces = list(Separator.from_pretrained(root).stream(path))
    total = torch.cat([piece.sounds.sum(0) + piece.residual for piece in pieces], dim=1).numpy()
    sound = decoded(path, rate, channels)
    assert total.shape == sound.shape and len(sound) == channels
    np.testing.assert_allclose(total, sound, rtol=0, atol=1e-5)
    assert all(torch.isfinite(piece.sounds).all() for piece in pieces) and any(p.sounds.any() for p in pieces)


def test_objects_with_their_sounds(root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch, *BOXES)
    sounds = Separator.from_pretrained(root)(video)
    assert [(one.number, one.name, one.found) for one in sounds] == [(1, "cello", "detected"), (2, "flute", "detected")]
    for one, box in zip(sounds, BOXES, strict=True):
        assert one.boxes.tolist() == [list(box)] * (3 * FPS) and one.fps == FPS
        assert one.wave is not None and one.wave.shape == (1, 3 * 44100) and one.rate == 44100
        assert one.probability is not None and one.probability.shape == one.starts.shape == one.muted.shape
        assert not one.muted.any() and not one.quiet.any(), "the gate is 0"


def test_the_long_way_and_the_short_one_give_the_same(root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the networks' own rate, where both apply one mask to one spectrum but for how windows are faded."""
    sees(monkeypatch, *BOXES)
    slow = video.with_name("slow.mkv")
    command = [ffmpeg(), "-y", "-loglevel", "error", "-i", f"file:{video}", "-ar", str(RATE), "-c:a", "pcm_s16le"]
    subprocess.run([*command, f"file:{slow}"], check=True)
    short = load(root)(slow)
    long = Separator.from_pretrained(root)(slow)
    assert len(short.objects) == len(long) == 2
    for one, other in zip(short.objects, long, strict=True):
        assert other.probability is not None and other.wave is not None and one.probability is not None
        np.testing.assert_allclose(other.starts * RATE, short.starts, atol=0.5)
        # a picture is kept at another quality here
        np.testing.assert_allclose(other.probability, one.probability, atol=0.02)
        error = np.square(other.wave[0] - one.wave).mean() / np.square(one.wave).mean()
        assert 10 * np.log10(error) < -20, "dB"


def test_words_need_no_picture(root: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    import soundfile

    song = (0.1 * random.standard_normal((44100 * 2, 2))).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", song, 44100, subtype="FLOAT")
    separator = Separator.from_pretrained(root)
    with separator.open(tmp_path / "song.wav", texts=["cello", "a dog barks"]) as separation:
        assert [one.phrase for one in separation.things] == ["playing the cello", "a dog barks"]
    cello, dog = separator(tmp_path / "song.wav", texts=["cello", "a dog barks"])
    assert cello.name == "cello" and cello.wave is not None and dog.wave is not None
    assert cello.wave.shape == song.T.shape and not np.allclose(cello.wave, dog.wave)
    assert cello.found == "words" and cello.probability is None and len(cello.boxes) == 0
    with pytest.raises(InputError, match="no picture stream; of sound alone ask in words"):
        separator(tmp_path / "song.wav")
    with pytest.raises(InputError, match="the phrase"):
        separator(tmp_path / "song.wav", texts=["скрипка"])
    with pytest.raises(InputError, match="words need one that is asked in words"):
        Separator.from_pretrained(root, system="cyclic")(tmp_path / "song.wav", texts=["cello"])


def test_a_box_asks_for_what_was_missed(root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch, BOXES[0])
    separator = Separator.from_pretrained(root)
    first, still, followed = separator(video, boxes=[Place(30, 6, 60, 44), Place(5, 5, 28, 40, 1.5)])
    assert (first.found, still.found, followed.found) == ("detected", "box", "box")
    assert still.name == "box" and still.boxes[0].tolist() == [30, 6, 60, 44]
    assert followed.name == "cello" and followed.boxes[0].tolist() == list(BOXES[0]), "what the detector saw there"
    for wrong in (Place(30, 6, 20, 44), Place(0, 0, 65, 10)):
        with pytest.raises(InputError, match="no area within the picture"):
            separator(video, boxes=[wrong])
    with pytest.raises(InputError, match=r"last 3\.0 s"):
        separator(video, boxes=[Place(0, 0, 9, 9, 99)])


def test_without_an_object_all_is_residual(root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch)
    pieces = list(Separator.from_pretrained(root).stream(video))
    assert all(len(piece.sounds) == 0 and torch.equal(piece.residual, piece.mixture) for piece in pieces)


def test_words_have_a_probability_where_the_model_tells_one(tmp_path: Path, video: Path) -> None:
    root = write_trained(tmp_path / "trained")
    (one,) = Separator.from_pretrained(root)(video, texts=["cello"])
    assert one.probability is None
    with Separator.from_pretrained(root).open(video, texts=["cello"]) as separation:
        assert separation.unsure is not None and "no confidence in phrases" in separation.unsure
    write_measured(root)
    separator = Separator.from_pretrained(root)
    first, second = separator(video, texts=["cello", "a dog barks"])
    assert first.probability is not None and second.probability is not None
    assert ((first.probability > 0) & (first.probability < 1)).all() and not first.muted.any(), "nothing is muted"
    assert not np.allclose(first.probability, second.probability)
    told = separator.write(video, tmp_path / "out", texts=["cello"], videos=False)
    assert told["threshold"] == 0.5 and told["unsure"] is None
    assert told["sounds"][0]["heard"] is bool((first.probability >= 0.5).any())
    assert Separator.from_pretrained(pack(root)).write(video, tmp_path / "out", texts=["cello"], videos=False)[
        "sounds"
    ][0]["probability"] == pytest.approx(told["sounds"][0]["probability"], abs=1e-6), "a package tells it too"
    (root / "metrics/evaluate/confidence.json").write_text('{"mean": [1]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"confidence\.json tells no confidence in phrases"):
        Separator.from_pretrained(root)(video, texts=["cello"])


def test_where_a_sound_is_found_is_told_on_demand(root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch, *BOXES)
    assert all(one.looks is None for one in Separator.from_pretrained(root)(video))
    separator = Separator.from_pretrained(root, look=True)
    assert (separator.system_for(words=False), separator.looking) == ("cyclic", "trimodal_visual")
    for texts in ([], ["cello", "tuba"]):
        first, second = separator(video, texts=texts)
        for one in (first, second):
            assert one.looks is not None and one.looks.shape[0] == len(one.starts) and one.looks.dtype == np.uint8
            assert (one.looks.max((1, 2)) == 255).all(), "re the place where most"
    song = video.with_name("song.wav")
    soundfile.write(song, 0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    assert separator(song, texts=["tuba"])[0].looks is None, "of a file without pictures"


def test_the_same_file_gives_the_same_bytes(
    root: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, *BOXES)
    separator = Separator.from_pretrained(root)
    separator.write(video, tmp_path / "one")
    time.sleep(1.1)  # files tell whole seconds
    separator.write(video, tmp_path / "two")
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert len(first) > 8 and list(first) == list(second)
    assert not [path for path, content in first.items() if second[path] != content]
    wave, _ = soundfile.read(tmp_path / "one/1-cello.wav", dtype="float32")
    assert np.abs(wave).max() > 0, "and they are read as before"


def test_silence_is_not_asked_about(root: Path, tmp_path: Path, make_video: Callable[..., Path]) -> None:
    video = make_video(tmp_path / "silent.mp4", seconds=2, sound="anullsrc=r=22050:cl=mono")
    (one,) = Separator.from_pretrained(root, seen=1.0)(video, boxes=[Place(4, 4, 28, 40)])[-1:]
    assert one.quiet.all() and one.muted.all() and one.wave is not None and not one.wave.any()


def test_what_cannot_be_used_is_told(root: Path, video: Path, tmp_path: Path) -> None:
    separator = Separator.from_pretrained(root)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=r"cut\.mp4 cannot be used"):
        separator(cut)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:3,\n/etc/passwd\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"list\.mp4 cannot be used"):
        separator(tmp_path / "list.mp4")
    with pytest.raises(InputError, match=r"none\.mp4 is missing"):
        separator(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="extend 'all' is none of average, zero, mixture"):
        Separator.from_pretrained(root, extend="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="system 'baseline' is none of"):
        Separator.from_pretrained(root, system="baseline")
    with pytest.raises(InputError, match=r"params\.yaml is missing"):
        Separator.from_pretrained(tmp_path)


@pytest.mark.parametrize("late", ["pictures", "sound"])
def test_of_a_video_that_begins_apart_what_both_share_is_separated(
    late: str, root: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, *BOXES)
    apart = tmp_path / "apart.mkv"
    streams = ["-map", "0:v", "-map", "1:a"] if late == "pictures" else ["-map", "1:v", "-map", "0:a"]
    shifted = ["-itsoffset", "1", "-i", f"file:{video}", "-i", f"file:{video}", *streams, "-c:v", "copy"]
    subprocess.run([ffmpeg(), "-loglevel", "error", *shifted, "-c:a", "flac", str(apart)], check=True)
    told = Separator.from_pretrained(root).write(apart, tmp_path / "out")
    assert told["start"] == pytest.approx(1, abs=0.05)
    assert len(told["notes"]) == 1 and told["notes"][0].startswith(late)
    waves = [soundfile.read(path, always_2d=True)[0].T for path in sorted((tmp_path / "out").glob("*.wav"))]
    whole_sound = decoded(video, 44100, 1)
    first = round(told["start"] * 44100) if late == "pictures" else 0
    expected = whole_sound[:, first : first + waves[0].shape[1]]
    total = np.sum(waves, axis=0)[:, : expected.shape[1]]
    best = max(range(-64, 65), key=lambda lag: float((total[0, 500:9000] * expected[0, 500 + lag : 9000 + lag]).sum()))
    assert abs(best) <= 2 and told["seconds"] == pytest.approx(2 if late == "pictures" else 3, abs=0.1)
    shown = tmp_path / "out/1-cello.mp4"
    seconds = decoded(shown if shown.exists() else next((tmp_path / "out").glob("1-*.mp4")), 44100, 2).shape[1] / 44100
    assert seconds == pytest.approx(told["seconds"], abs=0.1)


def test_a_damaged_file_is_refused_with_what_mends_it(
    root: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, *BOXES)
    bad, mended = tmp_path / "bad.mp4", tmp_path / "mended.mp4"
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    bad.write_bytes(content)
    with pytest.raises(
        InputError, match=r"bad\.mp4 cannot be used: .*; `ffmpeg -i FILE NEW\.mp4` makes a file without"
    ):
        list(Separator.from_pretrained(root).stream(bad))
    subprocess.run([ffmpeg(), "-loglevel", "quiet", "-i", str(bad), str(mended)], check=True)
    pieces = list(Separator.from_pretrained(root).stream(mended))
    assert sum(piece.mixture.shape[1] for piece in pieces) == pytest.approx(3 * 44100, abs=0.2 * 44100)


def test_a_file_that_was_cut_off_is_used_up_to_there(
    root: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, *BOXES)
    whole_file, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    keys = ["-c:v", "libx264", "-g", "4", "-c:a", "pcm_s16le"]
    subprocess.run([ffmpeg(), "-loglevel", "error", "-i", f"file:{video}", *keys, str(whole_file)], check=True)
    content = whole_file.read_bytes()
    cut.write_bytes(content[: len(content) * 7 // 10])
    with Separator.from_pretrained(root).open(cut) as separation:
        pieces = list(separation.pieces())
        assert any(note.startswith("cut off: ") for note in separation.stream.kept.about.notes)
    assert 1.2 < sum(piece.mixture.shape[1] for piece in pieces) / 44100 < 2.9


def test_what_the_machine_lacks_is_no_fault_of_the_file(
    root: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, *BOXES)
    failing = tmp_path / "bin/ffmpeg"
    failing.parent.mkdir()
    failing.write_text("#!/bin/sh\necho 'No such filter: yadif' >&2\nexit 8\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{failing.parent}:{os.environ['PATH']}")
    with pytest.raises(InputError, match=rf"no fault of its own: {failing} fails .*: No such filter: yadif; mend that"):
        list(Separator.from_pretrained(root).stream(video))
