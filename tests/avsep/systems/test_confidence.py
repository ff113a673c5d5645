"""How sure VAST is of a phrase: what the evidence is, and that its regression finds what it should."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from avsep.models.vast import VAST
from avsep.systems.confidence import SHARPNESS, calibrated, evidence
from tests.helpers.factories import hear_tiny, noise

EMBEDDING = 16


def network() -> VAST:
    torch.manual_seed(0)
    vast = VAST(captions=5, levels=3, channels=4, embedding=EMBEDDING).eval()
    vast.captions.copy_(torch.randn(5, EMBEDDING))
    return vast


@torch.no_grad()
def test_evidence_is_what_its_formula_says() -> None:
    vast, phrases = network(), noise(3, EMBEDDING, seed=1)
    heard = hear_tiny({name: noise(2, 2032, seed=seed) for seed, name in enumerate("AC")})
    found = evidence(vast, heard, phrases, "linear")
    mask = vast.separate(heard.mixture, {"one": phrases[1].expand(2, -1)})["one"]
    energy = (heard.mixture * mask).square().sum((1, 2, 3)) / heard.mixture.square().sum((1, 2, 3))
    torch.testing.assert_close(found.share[:, 1], energy)
    weights = (SHARPNESS * cosine_similarity(phrases[1:2], vast.captions)).softmax(0)
    for sound, name in (
        (vast.embed(heard.mixture, mask), "separated"),
        (vast.embed(heard.mixture, mask * 0 + 1), "mixture"),
    ):
        near = cosine_similarity(sound[:, None], vast.captions[None], dim=-1) @ weights
        torch.testing.assert_close(getattr(found, name)[:, 1], near)


def test_regression_is_sure_of_what_evidence_tells_and_of_nothing_else() -> None:
    random = np.random.default_rng(0)
    sounding = np.arange(4000) < 800
    rows = random.normal(size=(4000, 3)) * [1, 10, 0.1] + np.outer(sounding, [3, 0, 0])
    sure = calibrated(rows, sounding)
    assert sure(rows)[sounding].mean() > 0.85 and sure(rows)[~sounding].mean() < 0.15
    assert abs(sure.weights[0]) > 5 * abs(sure.weights[1:]).max()
    assert sure([[1.5, *rows.mean(0)[1:]]])[0] == pytest.approx(0.5, abs=0.1), "half way, whichever are more"


def test_evidence_that_never_changes_says_nothing() -> None:
    rows = np.column_stack([np.zeros(6), np.arange(6.0), np.ones(6)])
    sure = calibrated(rows, np.arange(6) > 2)
    assert sure.weights[0] == sure.weights[2] == 0 and np.isfinite(sure(rows)).all()


@pytest.mark.parametrize("truth", [True, False])
def test_one_kind_alone_is_refused(truth: bool) -> None:
    with pytest.raises(ValueError, match="of what sounds and of what does not"):
        calibrated(np.zeros((3, 3)), np.full(3, truth))
