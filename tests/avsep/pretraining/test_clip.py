"""The demo's CLIP: its loss, and the two queries that VAST makes of it."""

import pytest
import torch

from avsep.models.clip import FrozenCLIP, build_clip
from avsep.models.vast import visual_query
from avsep.pretraining.clip import contrastive, level
from avsep.weights.phrases import tokenise

SIZE = 64


def test_queries_by_picture_and_by_caption_vary_alike_and_no_cosine_changes() -> None:
    torch.manual_seed(0)
    clip = build_clip(
        image_size=SIZE,
        width=8,
        layers=(1, 1, 1, 1),
        embedding=8,
        context=20,
        text_width=8,
        text_heads=2,
        text_layers=1,
    ).eval()
    frozen = FrozenCLIP(clip)
    pictures, captions = torch.randn(6, 3, SIZE, SIZE), tokenise(["a flute", "the tuba", "a cello"], frozen.context)

    def cosines() -> torch.Tensor:
        seen = torch.cat([frozen.picture(pictures), visual_query(frozen.tokens(pictures)[:, None])])
        return torch.nn.functional.cosine_similarity(seen[:, None], frozen.text(captions)[None], dim=-1)

    before = cosines()
    level(clip, pictures, captions)
    torch.testing.assert_close(cosines(), before)
    for query in (visual_query(frozen.tokens(pictures)[:, None]), frozen.text(captions)):
        # of a few values, whose sums processors round in ways of their own
        assert float(query.std(0).square().mean()) == pytest.approx(1.0, rel=1e-3)


def test_captions_of_one_class_are_no_negatives_of_each_other() -> None:
    labels = torch.tensor([0, 1, 0, 2])
    right = 20.0 * (labels[:, None] == labels[None])
    wrong = 20.0 * torch.eye(4)
    lowest = torch.log(torch.tensor([2.0, 1.0, 2.0, 1.0])).mean()  # nats that two right ones share
    assert contrastive(right, labels) == pytest.approx(lowest.item(), abs=1e-6)
    assert contrastive(wrong, labels) > lowest + 1
    skewed = right + torch.arange(4.0)[:, None]  # each picture scores its own way: the captions' choice suffers
    assert contrastive(skewed, labels) > lowest
    torch.testing.assert_close(contrastive(skewed, labels), contrastive(skewed.T, labels))
