"""Where torch's randomness starts: the same params, code and data give the same weights."""

import lightning
import torch


def seed_everything(seed: int) -> None:
    """Seeds all global generators, before networks are made, and asks torch for deterministic kernels."""
    lightning.seed_everything(seed, workers=True, verbose=False)
    # where an accelerator has no deterministic kernel it says so and goes on: see README, Determinism
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())


def seed_step(seed: int, step: int) -> None:
    """Makes what a training step draws a function of (seed, step): a resumed run draws what the first one would."""
    torch.manual_seed(seed * 1_000_003 + step)
