"""What CLIP RN50 at OpenAI's size costs, on random weights: seconds a frame and a step of captions, and memory.

    OMP_NUM_THREADS=2 python -m benchmarks.rn50

The values of weights change neither; what was measured stands in docs/vast.md.
"""

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch.nn import functional

from avsep.models.clip import FrozenCLIP, build_clip
from avsep.params.sections import RN50

FRAMES, CAPTIONS, ROUNDS = 8, 16, 5


def median_seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])  # the first one chooses kernels


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts kilobytes


def main() -> None:
    torch.manual_seed(0)
    frozen = FrozenCLIP(build_clip(**asdict(RN50)))
    weights = sum(parameter.numel() * parameter.element_size() for parameter in frozen.parameters()) / 2**20
    print(f"{torch.get_num_threads()} threads; weights {weights:.0f} MiB; process with them {peak_megabytes():.0f} MiB")

    pictures = torch.randn(FRAMES, 3, 224, 224)
    seconds = median_seconds(lambda: frozen.tokens(pictures))
    print(f"tokens: {seconds / FRAMES:.3f} s a frame, {FRAMES} at once; peak {peak_megabytes():.0f} MiB")

    free = 0.01 * torch.randn(CAPTIONS, frozen.context - 2, frozen.text_width)
    free.requires_grad_()
    seen = frozen.picture(torch.randn(CAPTIONS, 3, 224, 224))

    def step() -> None:
        functional.cosine_similarity(frozen.latent(free), seen).sum().backward()

    seconds = median_seconds(step)
    print(f"captions: {seconds:.2f} s a step of {CAPTIONS} videos; peak {peak_megabytes():.0f} MiB")


if __name__ == "__main__":
    main()
