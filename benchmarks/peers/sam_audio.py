"""SAM Audio, asked in words: each object for its class.  Not run here: its weights were not at hand.

    python -m benchmarks.peers.sam_audio QUESTIONS ANSWERS [--model facebook/sam-audio-large]

Shi et al.: SAM Audio, segment anything in audio, arXiv 2512.18099.  In the environment of
github.com/facebookresearch/sam-audio, whose README says how its weights are asked for.  Written against that README:
SAMAudioProcessor, SAMAudio.separate.  It wants lowercase noun phrases, and so is asked for the class's name and not for
the pipeline's phrase.  It draws its sounds at random, here from --seed, and always gives one: no object is told to be
silent.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.answers import Answers, Mixture, at_rate, write_answers


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.sam_audio", description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--model", default="facebook/sam-audio-large", help="a name on the hub, or a folder")
    parser.add_argument("--candidates", type=int, default=1, help="sounds that are drawn, of which the best is kept")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seed", type=int, default=0)
    own = parser.parse_args(arguments)

    import torch
    from sam_audio import SAMAudio, SAMAudioProcessor

    model = SAMAudio.from_pretrained(own.model).eval().to(own.device)
    processor = SAMAudioProcessor.from_pretrained(own.model)
    rate = processor.audio_sampling_rate
    torch.manual_seed(own.seed)

    @torch.inference_mode()
    def answer(mixture: Mixture) -> Answers:
        wave = torch.from_numpy(at_rate(mixture.wave, mixture.rate, rate)).float()[None]  # (channels, L)
        given = {}
        for one in mixture.objects:
            batch = processor(audios=[wave], descriptions=[one.category.replace("_", " ")]).to(own.device)
            result = model.separate(batch, predict_spans=False, reranking_candidates=own.candidates)
            given[one.name] = at_rate(result.target[0].flatten().float().cpu().numpy(), rate, mixture.rate)
        return given

    print(f"{own.answers}: {write_answers(own.questions, own.answers, answer)} mixtures")


if __name__ == "__main__":
    main()
