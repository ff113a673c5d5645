"""AudioSep, asked in words: each object for its phrase.  Not run here: its weights were not at hand.

    python -m benchmarks.peers.audiosep QUESTIONS ANSWERS --code /path/to/AudioSep

Liu et al.: Separate anything you describe, arXiv 2308.05037.  In the environment of github.com/Audio-AGI/AudioSep, with
a clone of it, whose folder `checkpoint` holds its weights and CLAP's: see its README.  Written against its pipeline.py,
`build_audiosep` and what `inference` does with a file.  It works at 32 kHz, and always gives a sound: no object is told
to be silent.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.answers import Answers, Mixture, at_rate, write_answers

RATE = 32000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.audiosep", description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--code", type=Path, required=True, help="the clone")
    parser.add_argument("--device", default="cuda")
    own = parser.parse_args(arguments)

    import torch

    questions, answers = own.questions.resolve(), own.answers.resolve()
    os.chdir(own.code)  # its paths are relative to it
    sys.path.insert(0, str(Path.cwd()))  # before this repository, whose networks lie in a folder `models` too
    build_audiosep: Any = import_module("pipeline").build_audiosep
    model = build_audiosep("config/audiosep_base.yaml", "checkpoint/audiosep_base_4M_steps.ckpt", own.device)

    @torch.no_grad()
    def answer(mixture: Mixture) -> Answers:
        wave = torch.from_numpy(at_rate(mixture.wave, mixture.rate, RATE)).float().to(own.device)
        given = {}
        for one in mixture.objects:
            asked = model.query_encoder.get_query_embed(modality="text", text=[one.phrase], device=own.device)
            found = model.ss_model({"mixture": wave[None, None], "condition": asked})["waveform"]
            given[one.name] = at_rate(found.flatten().cpu().numpy(), RATE, mixture.rate)
        return given

    print(f"{own.answers}: {write_answers(questions, answers, answer)} mixtures")


if __name__ == "__main__":
    main()
