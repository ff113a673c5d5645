"""What objects that make no sound are given, and sounding ones that are taken for silent."""

from torch import Tensor

FLOOR_DB = -80.0  # below this nobody hears it, and a muted object counts as this


def leakage_db(given: Tensor, mixture: Tensor) -> Tensor:
    """Energy of the waves (..., L) given to a silent object, re the mixture's, in dB, clipped at FLOOR_DB: (...)."""
    ratio = given.double().square().sum(-1) / mixture.double().square().sum(-1)
    return (10 * ratio.clamp_min(1e-30).log10()).clamp_min(FLOOR_DB)
