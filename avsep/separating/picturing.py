"""Pictures and compressed sound of a separated file, by ffmpeg and Pillow."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import ImageDraw, ImageFont

from avsep.media.ffmpeg import QUIET, ffmpeg, write_by
from avsep.separating.reading import About, Pictures, Size
from avsep.separating.separation import Sound
from avsep.separating.streaming import Asked

# Of objects by their numbers, on pictures and on the page: light enough for a dark room, dark enough for a white one.
COLOURS = ("#ffb000", "#3ec6ff", "#ff6b9d", "#8ce563", "#c9a0ff", "#ff8552", "#5ff0d0", "#f4e04d", "#9fb4ff")
LARGEST_SHOWN = 1280  # pixels of the longer side of the videos that are written

_H264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "22", "-pix_fmt", "yuv420p"]
# stereo, since a phone plays no more; its default search takes four times as long
_AAC = ["-c:a", "aac", "-aac_coder", "fast", "-b:a", "160k", "-ac", "2"]
_FIRST = ["-movflags", "+faststart", "-map_metadata", "-1"]


def colour_of(number: int) -> str:
    """Of the object `number`, from 1."""
    return COLOURS[(number - 1) % len(COLOURS)]


def draw_objects(path: Path, pictures: Pictures, things: Sequence[Asked], fps: int) -> None:
    """Writes the picture in which most of the things are seen, of those the middle one, with their boxes and names."""
    seen = [set(one.object.seen) for one in things]
    counts = [sum(number in own for own in seen) for number in range(1, len(pictures) + 1)]
    most = [place for place, count in enumerate(counts) if count == max(counts)]
    chosen = most[len(most) // 2]
    picture = pictures[chosen]
    draw = ImageDraw.Draw(picture)
    line = max(2, picture.height // 160)
    font = ImageFont.load_default(size=max(11, picture.height // 24))
    for number, one in enumerate(things, start=1):
        if not one.seen:
            continue
        x1, y1, x2, y2 = one.object.boxes[chosen]
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour_of(number), width=line)
        text = f"{number} {one.name.replace('_', ' ')}"
        box = draw.textbbox((x1 + line, max(0, y1)), text, font=font)
        draw.rectangle((box[0] - line, box[1] - line, box[2] + line, box[3] + line), fill=colour_of(number))
        draw.text((x1 + line, max(0, y1)), text, font=font, fill="black")
    picture.save(path, quality=92)


def write_compressed(path: Path, wav: Path) -> None:
    """A sound as every browser plays it."""
    write_by([ffmpeg(), *QUIET, "-i", f"file:{wav}", *_AAC, *_FIRST, "-f", "mp4", f"file:{path}"], path)


def write_shown(path: Path, about: About, wav: Path | None, size: Size, sound: Sound | None = None) -> None:
    """A video as every browser plays it, with its own sound or with `wav`, and the box of `sound`, if it has one."""
    scale = min(1.0, LARGEST_SHOWN / max(size))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in size)
    with tempfile.TemporaryDirectory() as folder:
        filters = f"scale,yadif=deint=interlaced,scale={width}:{height},setsar=1"
        trimmed: list[str] = []
        if start := about.start:
            filters += f",trim=start={start},setpts=PTS-{start}/TB"
            trimmed = ["-af", f"atrim=start={start},asetpts=PTS-{start}/TB"] if wav is None else []
        if sound is not None and len(sound.boxes):
            commands = Path(folder) / "boxes.txt"
            first = _write_boxes(commands, sound, width / size.width, height / size.height)
            thick = max(2, height // 160)
            filters += f",sendcmd=f=boxes.txt,drawbox@b={first}:color={colour_of(sound.number)}:t={thick}"
        heard = [] if wav is None else ["-i", f"file:{wav.absolute()}"]
        mapped = ["-map", "0:V:0", "-map", f"0:a:{about.track}" if wav is None else "1:a:0"]
        command = [*about.decoded, *heard, *mapped, "-vf", filters, *trimmed, *_H264, *_AAC, *_FIRST]
        write_by([*command, "-y", "-f", "mp4", f"file:{path.absolute()}"], path, Path(folder))


def _write_boxes(path: Path, sound: Sound, across: float, down: float) -> str:
    """Writes ffmpeg's commands that move a box as the object does, and gives where it begins."""
    lines: list[str] = []
    before: list[int] | None = None
    for number, box in enumerate(sound.boxes.tolist()):
        x1, y1, x2, y2 = (round(v * f) for v, f in zip(box, (across, down, across, down), strict=True))
        now = [x1, y1, max(2, x2 - x1), max(2, y2 - y1)]
        if now != before:
            moved = ",".join(f"[enter] drawbox@b {side} {v}" for side, v in zip("xywh", now, strict=True))
            lines.append(f"{number / sound.fps:.3f} {moved};")
            before = now
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    x1, y1, x2, y2 = sound.boxes[0]
    return ":".join(
        f"{side}={round(v)}"
        for side, v in zip("xywh", (x1 * across, y1 * down, (x2 - x1) * across, (y2 - y1) * down), strict=True)
    )
