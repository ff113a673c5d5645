"""Every aggregate follows from the rows: by hand, by other arithmetic, and whatever order they come in."""

import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.scoring import localisation, pairs
from avsep.scoring import sources as many_sources
from avsep.scoring.separation import SCORES
from avsep.scoring.summary import Rows, headline, key_figures, summarise
from avsep.systems import catalogue
from tests.helpers.outcomes import GROUNDED, SYSTEMS

VIDEOS = {  # of each mixture's objects
    0: {"A": "cello/1", "B": "tuba/1", "C": "flute/1", "D": "violin/1"},
    1: {"A": "cello/2", "B": "violin/1", "C": "flute/1", "D": "tuba/1"},
}
P = {(0, "A"): 0.9, (0, "B"): 0.1, (0, "C"): 0.8, (0, "D"): 0.6}
P |= {(1, "A"): 0.3, (1, "B"): 0.2, (1, "C"): 0.7, (1, "D"): 0.4}
OPEN = {"cyclic": -20.0, "colearning": -40.0}  # leakage without gate
AT = {metric: 100 * place for place, metric in enumerate(SCORES)}
PHRASES = pd.DataFrame(
    {"kind": ["present", "absent", "unmatched"], "confidence": [0.9, 0.3, 0.8], "accepted": [1, 0, 1]}
)


def rows() -> pd.DataFrame:
    """Two mixtures by hand: system s scores s + 10 m for A and s + 10 m + 1 for C in mixture m."""
    made = []
    for m, videos in VIDEOS.items():
        for s, system in enumerate(SYSTEMS):
            for x in OBJECTS if system in GROUNDED else SOUNDING:
                row: dict[str, Any] = {"mixture": m, "system": system, "object": x, "video": videos[x]}
                row |= {"class": videos[x].split("/")[0], "beside": videos[pairs.BESIDE[x]].split("/")[0]}
                row["role"] = "sounding" if x in SOUNDING else "silent"
                if system in GROUNDED:
                    p = P[m, x] if system == "cyclic" else 1 - P[m, x]
                    row |= {"probability": p, "solo_probability": 1 - p, "muted": int(p < 0.5)}
                    row |= {
                        "sdr_as_published": 9.0,
                        "sir_as_published": 10.0 + OBJECTS.index(x),
                        "sar_as_published": 8.0,
                    }
                if x in SOUNDING:
                    row |= {metric: s + 10 * m + SOUNDING.index(x) + AT[metric] for metric in SCORES}
                else:
                    row["open_leakage_db"] = OPEN[system]
                    row["leakage_db"] = -80.0 if row["muted"] else OPEN[system]
                made.append(row)
    return pd.DataFrame(made, columns=pairs.COLUMNS)


def tables(table: pd.DataFrame, places: pd.DataFrame | None = None, sources: pd.DataFrame | None = None) -> Any:
    places = pd.DataFrame(columns=localisation.COLUMNS) if places is None else places
    sources = pd.DataFrame(columns=many_sources.COLUMNS) if sources is None else sources
    return summarise(Rows(table, PHRASES, places, sources), resamples=50, bins=10, seed=0)


def only(table: pd.DataFrame, **where: Any) -> Any:
    """The one row that has these values, as a dict."""
    (row,) = table[(table[list(where)] == pd.Series(where)).all(axis=1)].to_dict("records")
    return row


@pytest.fixture(scope="module")
def found() -> dict[str, pd.DataFrame]:
    return tables(rows())


def test_the_scores_follow_from_the_rows(found: dict[str, pd.DataFrame]) -> None:
    for s, system in enumerate(SYSTEMS):
        for metric in SCORES:
            row = only(found["scores.csv"], system=system, metric=metric)
            values = [s + 10 * m + c + AT[metric] for m in (0, 1) for c in (0, 1)]
            assert row["mean"] == statistics.mean(values) and row["median"] == statistics.median(values)
            assert row["class_balanced"] == statistics.mean(
                [statistics.mean(values[::2]), statistics.mean(values[1::2])]
            )
            assert row["low"] <= row["mean"] <= row["high"]
            assert (row["objects"], row["videos"]) == (4, 3)


def test_the_class_balanced_mean_weighs_classes_alike() -> None:
    table = rows()
    twice = pd.concat([table, table[table["video"] == "cello/2"].assign(mixture=2)])
    row = only(tables(twice)["scores.csv"], system="mixture", metric="sdr")
    assert row["mean"] == (0 + 10 + 10 + 1 + 11) / 5
    assert row["class_balanced"] == pytest.approx((20 / 3 + 6) / 2)


def test_systems_are_compared_on_the_objects_that_both_have() -> None:
    table = rows()
    one = (table["mixture"] == 1) & (table["object"] == "C")
    table = table[(table["system"] != "trimodal_synonym") | one]
    made = tables(table)
    for metric in SCORES:
        row = only(made["differences.csv"], metric=metric, system="cyclic", against="baseline")
        assert row["difference"] == SYSTEMS.index("cyclic") - SYSTEMS.index("baseline")
        assert (row["low"], row["high"], row["significant"]) == (row["difference"], row["difference"], 1)
    row = only(made["differences.csv"], metric="nsdr", system="trimodal_synonym", against="trimodal_text")
    shift = SYSTEMS.index("trimodal_synonym") - SYSTEMS.index("trimodal_text")
    assert (row["objects"], row["difference"]) == (1, shift)
    worded = dict(made["phrases.csv"].itertuples(index=False))
    assert worded["synonym_nsdr"] == worded["phrase_nsdr"] + shift
    assert worded["phrase_nsdr"] == SYSTEMS.index("trimodal_text") + 10 + 1 + AT["nsdr"]
    none = tables(table[table["system"] != "trimodal_synonym"])
    assert "trimodal_synonym" not in set(none["scores.csv"]["system"])
    assert "synonym_nsdr" not in set(none["phrases.csv"]["name"])


def test_a_difference_within_the_videos_spread_is_not_significant() -> None:
    table = rows()
    other = (table["system"] == "cyclic") & (table["video"] == "cello/2")
    table.loc[other, list(SCORES)] -= 100  # better on two videos, much worse on one
    row = only(tables(table)["differences.csv"], metric="sdr", system="cyclic", against="baseline")
    assert row["low"] < 0 < row["high"] and row["significant"] == 0


def test_grounding_and_silence_follow_from_the_rows(found: dict[str, pd.DataFrame]) -> None:
    # cyclic: of A, C 0.9, 0.8, 0.3, 0.7 three are heard, of B, D 0.1, 0.6, 0.2, 0.4 one is
    row = only(found["grounding.csv"], system="cyclic", sound="mixture")
    assert (row["balanced_accuracy"], row["roc_auc"]) == (0.75, (4 + 4 + 2 + 4) / 16)
    assert only(found["grounding.csv"], system="cyclic", sound="solo")["balanced_accuracy"] == 0.25
    assert only(found["grounding.csv"], system="colearning", sound="mixture")["balanced_accuracy"] == 0.25
    row = only(found["silence.csv"], system="cyclic")
    assert (row["leakage_db"], row["false_mute_rate"]) == (-65, 0.25)
    assert row["leakage_db_p95"] == pytest.approx(-80 + 0.85 * 60)
    row = only(found["silence.csv"], system="colearning")
    assert (row["leakage_db"], row["false_mute_rate"]) == (-50, 0.75)
    row = only(found["published.csv"], system="cyclic")
    assert (row["accuracy_mixture"], row["sdr_as_published"]) == (0.75, 9)
    assert (row["sir_as_published"], row["sar_as_published"]) == (11.5, 8), "all four objects"
    row = only(found["gates/cyclic.csv"], threshold=0.5)
    assert (row["false_mute_rate"], row["leakage_db"]) == (0.25, -65)
    assert found["reliability/cyclic_mixture.csv"]["objects"].sum() == 8


def test_classes_and_pairs_of_classes(found: dict[str, pd.DataFrame]) -> None:
    row = only(found["by_class.csv"], system="mixture", **{"class": "cello"})
    assert (row["objects"], row["sdr"]) == (2, 5)
    row = only(found["by_pair.csv"], system="mixture", beside="cello", **{"class": "flute"})
    assert (row["objects"], row["sdr"]) == (2, 6)
    assert list(dict.fromkeys(found["by_class.csv"]["system"])) == list(SYSTEMS)


def test_the_headline_is_of_the_tables(found: dict[str, pd.DataFrame]) -> None:
    told = headline(found)
    assert told["cyclic"] == {metric: SYSTEMS.index("cyclic") + 5.5 + AT[metric] for metric in ("nsdr", "si_sdri")}
    assert told["grounding"] == {"balanced_accuracy": 0.75, "roc_auc": 0.875}
    assert told["silent"] == {"leakage_db": -65, "false_mute_rate": 0.25}
    assert told["published"] == {"sdr_as_published": 9, "sir_as_published": 11.5, "sar_as_published": 8}
    assert set(told["published_colearning"]) == set(told["published"])
    assert told["silent_colearning"] == {"leakage_db": -50, "false_mute_rate": 0.75}


def test_the_key_figures_are_of_what_is_compared_by_names_that_explain_themselves(
    found: dict[str, pd.DataFrame],
) -> None:
    told = key_figures(found)
    compared = [entry for entry in catalogue.SYSTEMS if entry.group == "trained"]
    assert list(told) == [entry.called or entry.name for entry in compared] and len(set(told)) == len(told)
    assert {"cyclic", "vast_by_picture", "vast_by_phrase"} <= set(told)
    assert told["cyclic"] == {
        "nsdr_db": SYSTEMS.index("cyclic") + 5.5 + AT["nsdr"],
        "leakage_db": -65,
        "balanced_accuracy": 0.75,
    }
    assert told["vast_by_phrase"] == {"nsdr_db": SYSTEMS.index("trimodal_text") + 5.5 + AT["nsdr"]}
    assert sum(len(values) for values in told.values()) < 25, "a terminal has room for no more"


def test_tables_are_of_rows_whatever_order_they_come_in(found: dict[str, pd.DataFrame]) -> None:
    shuffled = tables(rows().sample(frac=1, random_state=0))
    for name, table in found.items():
        pd.testing.assert_frame_equal(shuffled[name], table, check_like=True)


def test_places_and_numbers_of_sources() -> None:
    places = pd.DataFrame(
        {
            "mixture": [0, 1],
            "method": "cyclic",
            "object": "A",
            "class": "cello",
            "video": ["cello/1", "cello/2"],
            "iou": [0.6, 0.4],
            "area": [0.1, 0.3],
            "silent_share": [0.25, np.nan],
        }
    )
    sources = pd.DataFrame({"sources": 3, "mixture": 0, "system": ["cyclic", "cyclic"], "class": "cello"})
    sources = sources.assign(video=["cello/1", "cello/2"], probability=0.4, muted=[1, 0], si_sdri=[1.0, 3.0])
    made = tables(rows(), places, sources.assign(si_sdr=0.0, snr=0.0, snri=0.0))
    row = only(made["localisation.csv"], method="cyclic")
    assert (row["objects"], row["placed"], row["ciou_50"], row["area"], row["silent_share"]) == (2, 1, 0.5, 0.2, 0.25)
    for metric, mean in (("si_sdri", 2), ("muted", 0.5)):
        assert only(made["sources.csv"], sources=3, system="cyclic", metric=metric)["mean"] == mean
