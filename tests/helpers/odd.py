"""Five videos as the world has them: other containers and codecs, uneven and interlaced pictures, a phone held upright,
sound of 5.1 channels, and names that a careless program trips over. Each is made of an ordinary video."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from avsep.demo.video import render_video
from avsep.media.ffmpeg import ffmpeg


class Odd(NamedTuple):
    """The instrument that it shows in a folder, its name, and ffmpeg's options for it; at last, for a second pass that
    decodes nothing."""

    category: str
    name: str
    options: str
    turned: str = ""  # options before the second pass's input


# Of 24 pictures a second some are left out at random, and all for 1.1 s of every three.
UNEVEN = "select=lt(mod(t\\,3)\\,1.2)*gt(random(7)\\,0.3)+gte(mod(t\\,3)\\,2.3)*gt(random(8)\\,0.6)"
STEREO = "aformat=channel_layouts=stereo"
SURROUND = f"{STEREO},pan=5.1|FL=c0|FR=c1|FC=0.5*c0+0.5*c1|LFE=0.5*c0+0.5*c1|BL=0.3*c0|BR=0.3*c1"

ODD = {
    # of a browser or a screen recorder: VP9 of uneven times, Opus
    "webm": Odd(
        "violin",
        "Übung mit Geige \N{EN DASH} Nr. 1 (live).webm",
        f"-vf {UNEVEN} -fps_mode vfr -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -c:a libopus -ar 48000",
    ),
    # of a phone held upright: HEVC that lies on its side, to be turned when it is shown; 29.97 pictures a second, AAC
    "phone": Odd(
        "acoustic guitar",
        "IMG_4711.MOV",
        "-vf fps=30000/1001,transpose=cclock -c:v libx265 -x265-params log-level=none -preset ultrafast -crf 22"
        " -tag:v hvc1 -c:a aac -ar 44100",
        turned="-display_rotation:v:0 -90",
    ),
    # of the nineties: MPEG-4 ASP with B-frames, MP3 of 22.05 kHz
    "avi": Odd(
        "trumpet",
        '100% "cool" trumpet\'s take.AVI',
        f"-c:v mpeg4 -bf 2 -q:v 3 -af {STEREO},pan=mono|c0=0.5*c0+0.5*c1 -c:a libmp3lame -ar 22050",
    ),
    # of a collector: H.264 of 10 bits, FLAC of 44.1 kHz and 5.1 channels
    "mkv": Odd(
        "saxophone",
        "-🎷 solo, 5.1 & more.mkv",
        f"-c:v libx264 -preset ultrafast -crf 18 -pix_fmt yuv420p10le -af {SURROUND} -c:a flac -ar 44100",
    ),
    # of a camcorder: interlaced MPEG-2 of pixels that are no squares, AC-3, and a clock that ran for hours
    "camcorder": Odd(
        "tuba",
        "PAL tape 3 #00017.MTS",
        "-vf scale=360:288,setdar=4/3,fps=50,tinterlace=interleave_top,setfield=tff -c:v mpeg2video -flags +ildct+ilme"
        " -q:v 2 -bf 2 -c:a ac3 -ar 48000 -output_ts_offset 35000 -f mpegts",
    ),
}


def make_odd(kind: str, source: Path, folder: Path) -> Path:
    """Writes the odd file of a kind into a folder, of the pictures and the sound of an ordinary video."""
    odd = ODD[kind]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / odd.name
    with tempfile.TemporaryDirectory() as temporary:
        first = Path(temporary) / f"first{path.suffix}" if odd.turned else path
        call_ffmpeg("-i", f"file:{source}", *odd.options.split(), "-threads", "1", f"file:{first}")
        if odd.turned:
            call_ffmpeg(*odd.turned.split(), "-i", f"file:{first}", "-c", "copy", f"file:{path}")
    return path


def make_folder(folder: Path, *, ordinary: int, seconds: float, fps: int, side: int) -> None:
    """Writes a folder of videos as a user has it: in each of five classes some ordinary ones and an odd one.

    The demo's players, each by another seed; `side`: of the pictures' shorter side, in pixels.
    """
    for number, (kind, odd) in enumerate(ODD.items()):
        sides = {"width": side * 4 // 3, "height": side}
        if kind == "phone":
            sides = {"width": side, "height": side * 4 // 3}
        with tempfile.TemporaryDirectory() as temporary:
            rendered = [
                render_video(
                    Path(temporary),
                    odd.category.replace(" ", "_"),
                    n,
                    seed=number,
                    seconds=seconds,
                    timbre=1.0,
                    fps=fps,
                    **sides,
                )
                for n in range(ordinary + 1)
            ]
            (folder / odd.category).mkdir(parents=True)
            for path in rendered[1:]:
                shutil.copyfile(path, folder / odd.category / path.name)
            make_odd(kind, rendered[0], folder / odd.category)


def call_ffmpeg(*arguments: str) -> None:
    subprocess.run([ffmpeg(), "-y", "-nostdin", "-loglevel", "error", *arguments], check=True)
