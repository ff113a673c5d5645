"""Where torch's randomness starts: the same params, code and data give the same weights."""

import os
import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds all global generators, before networks are made, and asks torch for deterministic kernels.

    As Lightning's function of this name, which takes seconds to import, and some stages train nothing.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what other libraries draw from
    torch.manual_seed(seed)
    # Lightning's own names: by these it seeds the processes that load samples
    os.environ["PL_GLOBAL_SEED"], os.environ["PL_SEED_WORKERS"] = str(seed), "1"
    # where an accelerator has no deterministic kernel it says so and goes on: see README, Determinism
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())


def seed_step(seed: int, step: int) -> None:
    """Makes what a training step draws a function of (seed, step): a resumed run draws what the first one would."""
    torch.manual_seed(seed * 1_000_003 + step)
