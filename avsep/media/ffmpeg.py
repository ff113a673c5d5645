"""Video files by way of the ffmpeg executable: no shell, whole files or none, the same bytes each time."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import imageio_ffmpeg
import numpy as np

BITEXACT = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"]


def ffmpeg() -> str:
    """Path of the executable: the one on PATH, else the one that imageio-ffmpeg carries."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def write_video(path: Path, frames: Iterable[np.ndarray], fps: int, audio: np.ndarray, rate: int) -> None:
    """Writes an mp4 file with H.264 pictures (4:2:0) and AAC sound, whole or not at all.

    frames: RGB pictures, uint8 (height, width, 3), all of one size, both sides even; taken one at a time.
    audio: float (samples, 1 or 2 channels), full scale at 1; clipped there.
    Raises ValueError for pictures or sound of another form, RuntimeError with ffmpeg's words if it fails.
    """
    if audio.ndim != 2 or audio.shape[1] not in (1, 2):
        raise ValueError(f"audio of shape {audio.shape}: (samples, 1 or 2) is needed")
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path}: no frames to write")
    height, width = first.shape[:2]
    temporary = path.with_name(f".{path.name}.tmp")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as messages:
        sound = Path(folder) / "sound.f32"
        np.clip(audio, -1, 1).astype("<f4").tofile(sound)
        command = [ffmpeg(), "-y", "-nostdin", "-loglevel", "error"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{height}", "-framerate", str(fps)]
        command += ["-i", "pipe:0"]
        command += ["-f", "f32le", "-ar", str(rate), "-ac", str(audio.shape[1]), "-i", f"file:{sound}"]
        # one thread: x264 gives other bytes for another number of them
        command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-threads", "1"]
        command += ["-c:a", "aac", "-b:a", "160k", *BITEXACT, "-f", "mp4", f"file:{temporary}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages)
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                pipe.write(_raw(first, first.shape, path))
                for picture in pictures:
                    pipe.write(_raw(picture, first.shape, path))
            code = process.wait()
        except BrokenPipeError:
            code = process.wait() or 1  # ffmpeg ended first: its words say why
        except BaseException:  # a frame could not be made: leave neither a process nor half a file
            process.kill()
            process.wait()
            temporary.unlink(missing_ok=True)
            raise
        if code != 0:
            messages.seek(0)
            temporary.unlink(missing_ok=True)
            said = messages.read().decode(errors="replace").strip()
            raise RuntimeError(f"ffmpeg could not write {path} (code {code}): {said}")
    os.replace(temporary, path)


def _raw(picture: np.ndarray, shape: tuple[int, ...], path: Path) -> bytes:
    if picture.dtype != np.uint8 or picture.shape != shape or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"{path}: a frame is {picture.dtype} {picture.shape}, not uint8 {shape}")
    return picture.tobytes()
