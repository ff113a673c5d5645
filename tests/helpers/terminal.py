"""A terminal of so many columns, as a program sees one."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path


def on_terminal(command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int = 100) -> str:
    """What a command writes to a terminal, with its carriage returns. Fails if it does not end well."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdin=its, stdout=its, stderr=its)
    os.close(its)
    written = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # Linux's word for: nobody holds the other end any more
            break
        if not some:
            break
        written += some
    os.close(ours)
    text = written.decode()
    assert process.wait() == 0, text
    return text


def lines_left(written: str) -> list[str]:
    """What one sees at last: of each line what was written over all else, without what was wiped out."""
    lines = []
    for line in written.replace("\r\n", "\n").split("\n"):
        seen = ""
        for part in line.split("\r"):
            seen = part + seen[len(part) :]
        lines.append(seen.rstrip())
    return lines
