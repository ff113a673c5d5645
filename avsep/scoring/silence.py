"""What objects that make no sound are given, and sounding ones that are taken for silent."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor

FLOOR_DB = -80.0  # below this nobody hears it, and a muted object counts as this
THRESHOLDS = np.round(np.linspace(0, 1, 51), 2).tolist()  # of a curve over all gates


def leakage_db(given: Tensor, mixture: Tensor) -> Tensor:
    """Energy of the waves (..., L) given to a silent object, re the mixture's, in dB, clipped at FLOOR_DB: (...)."""
    ratio = given.double().square().sum(-1) / mixture.double().square().sum(-1)
    return (10 * ratio.clamp_min(1e-30).log10()).clamp_min(FLOOR_DB)


def gated_snri(rows: pd.DataFrame, muted: pd.Series) -> pd.Series:
    """SNR improvement of sounding objects (columns `snr`, `snri`) where the gate gives the muted ones silence.

    Silence has an SNR of 0 dB, and so gains what the mixture lacks of it; its SI-SDR is not defined.
    """
    return rows["snri"].where(~muted, rows["snri"] - rows["snr"])


def gated(rows: pd.DataFrame, muted: pd.Series) -> dict[str, float]:
    """What a gate does to one system's objects, of which `muted` are given silence.

    `rows` has `role`, of sounding objects `si_sdri`, `snr` and `snri`, of silent ones `open_leakage_db`, all without
    gate.  `si_sdri_heard` is the mean over those sounding objects that are not muted, NaN if all are.
    """
    sounds = rows["role"] == "sounding"
    leakage = rows.loc[~sounds, "open_leakage_db"].where(~muted[~sounds], FLOOR_DB)
    return {
        "false_mute_rate": float(muted[sounds].mean()),
        "leakage_db": float(leakage.mean()),
        "leakage_db_p95": float(leakage.quantile(0.95)),
        "si_sdri_heard": float(rows.loc[sounds & ~muted, "si_sdri"].mean()),
        "snri_given": float(gated_snri(rows[sounds], muted[sounds]).mean()),
    }


def gate_curve(rows: pd.DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """`gated` with a gate at each threshold on the column `probability`: one row a threshold."""
    curve = [{"threshold": t, **gated(rows, rows["probability"] < t)} for t in thresholds]
    return pd.DataFrame(curve)
