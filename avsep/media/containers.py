"""How files are opened: containers alone, from the disk.

A playlist, which may call itself a.mp4, could name other files or fetch them.
"""

from pathlib import Path

import av

VIDEOS = "mov,matroska,avi,flv,mpeg,mpegts,ogg,asf"
SOUNDS = "wav,mp3,flac,ogg"
ONLY = {"protocol_whitelist": "file", "format_whitelist": VIDEOS}
SOUND_ONLY = {"protocol_whitelist": "file", "format_whitelist": SOUNDS}
ANY = {"protocol_whitelist": "file", "format_whitelist": f"{VIDEOS},{SOUNDS},w64,aac,aiff"}


def open_container(path: Path, options: dict[str, str]) -> av.container.InputContainer:
    """Opens a file with one of the options above. Raises av.FFmpegError."""
    # tags are in whatever encoding; of them DURATION alone is read
    return av.open(f"file:{path.absolute()}", options=options, metadata_errors="replace")


def heard(container: av.container.InputContainer) -> av.AudioStream:
    """The stream of sound that a player plays: the one that is marked as the default, or else the first.

    Raises IndexError if there is none.
    """
    streams = container.streams.audio
    return next((one for one in streams if one.disposition & av.stream.Disposition.default), streams[0])


def moving(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first stream of pictures; a cover is none."""
    cover = av.stream.Disposition.attached_pic
    return next((one for one in container.streams.video if not one.disposition & cover), None)
