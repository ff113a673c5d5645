"""What objects that make no sound are given, and sounding ones that are taken for silent."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

FLOOR_DB = -80.0  # below this nobody hears it, and a muted object counts as this
THRESHOLDS = np.round(np.linspace(0, 1, 51), 2).tolist()  # of a curve over all gates


def leakage_db(given: Tensor, mixture: Tensor) -> Tensor:
    """Energy of the waves (..., L) given to a silent object, re the mixture's, in dB, clipped at FLOOR_DB: (...)."""
    ratio = given.double().square().sum(-1) / mixture.double().square().sum(-1)
    return (10 * ratio.clamp_min(1e-30).log10()).clamp_min(FLOOR_DB)


def gated(rows: pd.DataFrame, muted: NDArray[np.bool_]) -> dict[str, Array]:
    """What gates do to one system's N objects, of which `muted` (..., N) are given silence: (...) each.

    `rows` has `role`, of sounding objects `si_sdri`, `snr` and `snri`, of silent ones `open_leakage_db`, all without
    gate.  `si_sdri_heard` is the mean over those sounding objects that are not muted, NaN if all are: the SI-SDR of
    silence is not defined, and NaN in the rows of a system that gives silence itself.  Its SNR is 0 dB, and so
    `snri_given` counts all sounding objects: a muted one gains what the mixture lacks of that.
    """
    sounds = (rows["role"] == "sounding").to_numpy()
    si_sdri, snr, snri = (rows.loc[sounds, name].to_numpy(np.float64) for name in ("si_sdri", "snr", "snri"))
    lost = muted[..., sounds]
    leakage = np.where(muted[..., ~sounds], FLOOR_DB, rows.loc[~sounds, "open_leakage_db"].to_numpy(np.float64))
    unheard = lost | np.isnan(si_sdri)
    heard = (~unheard).sum(-1)
    kept = np.where(unheard, 0.0, si_sdri).sum(-1)
    return {
        "false_mute_rate": lost.mean(-1),
        "leakage_db": leakage.mean(-1),
        "leakage_db_p95": np.quantile(leakage, 0.95, axis=-1),
        "si_sdri_heard": np.where(heard > 0, kept / np.maximum(heard, 1), np.nan),
        "snri_given": np.where(lost, snri - snr, snri).mean(-1),
    }


def gate_curve(rows: pd.DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """`gated` with a gate at each threshold on the column `probability`: one row a threshold."""
    gates = np.asarray(thresholds, np.float64)
    return pd.DataFrame({"threshold": gates, **gated(rows, rows["probability"].to_numpy() < gates[:, None])})
