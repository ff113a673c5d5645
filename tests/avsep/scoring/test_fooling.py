"""SDR can be fooled, and what stands beside it tells: docs/evaluation.md's numbers, computed again."""

from pathlib import Path

import pytest

from tests.helpers import fooling

PAGE = Path(__file__).parents[3] / "docs/evaluation.md"


def test_scaled_delayed_dull_and_permuted() -> None:
    rows = fooling.of_a_sounding_object().set_index("given").to_dict("index")
    quiet, late = rows["a hundredth of it"], rows["it, 10 ms late"]
    dull, mixture, other = rows["it, dull: low-passed at 300 Hz"], rows["the mixture"], rows["the other source"]
    assert quiet["sdr"] > 60 and quiet["si_sdr"] > 60 and quiet["snr"] == pytest.approx(0.09, abs=0.01)
    assert late["sdr"] > 25 and late["si_sdr"] < mixture["si_sdr"] and late["snr"] < mixture["snr"]
    assert dull["sdr"] > 30 and dull["si_sdr"] < mixture["si_sdr"] and dull["snr"] < 1
    assert max(other[score] for score in ("sdr", "sir", "si_sdr", "snr")) < -3


def test_silent_and_leaked() -> None:
    rows = fooling.of_a_silent_object().set_index("given").to_dict("index")
    nothing, some, everything = (rows[name] for name in ("nothing", "1 % of the mixture", "all of the mixture"))
    assert nothing["sdr_as_published"] > 200
    assert some["sdr_as_published"] == pytest.approx(everything["sdr_as_published"], abs=1e-3)
    assert [row["leakage_db"] for row in (nothing, some, everything)] == pytest.approx([-80, -40, 0], abs=1e-3)


def test_the_page_tells_these_numbers() -> None:
    text = "\n".join(line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines())  # one is in a list
    for table in fooling.pages():
        assert table in text, f"python -m tests.helpers.fooling gives\n{table}"
