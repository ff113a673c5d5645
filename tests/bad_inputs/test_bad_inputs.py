"""Bad input of all kinds, at all entries: one line, or a listed rejection, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tried(*options: str) -> str:
    """What the command says at last; in a process of its own, whose memory it limits."""
    command = [sys.executable, "-m", "tests.bad_inputs", *options]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_hundred_bad_inputs_are_refused_in_a_line_or_listed() -> None:
    last = tried("--every", "4")
    counts = {name: int(count) for name, count in re.findall(r"'([a-z ]+)': (\d+)", last)}
    assert sum(counts.values()) >= 300, last
    assert counts["refused"] > counts["used"]
