"""Detectors that are asked in words: what transformers finds comes out as torchvision's detectors give it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou
from torchvision.transforms.functional import to_pil_image
from transformers import (
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Owlv2ForObjectDetection,
    Owlv2Processor,
)

from avsep.models.zero_shot import load_zero_shot
from tests.helpers.zero_shot import BERTS, write_zero_shot

KINDS = ("owlv2", "grounding_dino")
PHRASES = ["a cello", "the acoustic guitar", "a tuba"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: write_zero_shot(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A picture (3, H, W), of values that a file holds."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=random, dtype=torch.uint8).float() / 255


def ask(folders: dict[str, Path], kind: str, pictures: list[torch.Tensor], phrases=PHRASES, threshold=0.0, nms=1.0):
    detector = load_zero_shot(kind, folders[kind], phrases, threshold=threshold, nms=nms)
    with torch.inference_mode():
        return detector(pictures)


def theirs(folder: Path, kind: str, picture: Image.Image) -> dict[str, torch.Tensor]:
    """What transformers' own way from a picture to boxes gives."""
    size = [(picture.height, picture.width)]
    with torch.inference_mode():
        if kind == "owlv2":
            owl, processor = Owlv2ForObjectDetection.from_pretrained(folder), Owlv2Processor.from_pretrained(folder)
            text: Any = owl.config.text_config
            longest = {"max_length": text.max_position_embeddings}
            inputs = processor(text=[PHRASES], images=picture, return_tensors="pt", text_kwargs=longest)
            return processor.post_process_grounded_object_detection(owl(**inputs), 0.0, size)[0]
        dino = GroundingDinoForObjectDetection.from_pretrained(folder)
        reader = GroundingDinoProcessor.from_pretrained(folder)
        inputs = reader(text=[PHRASES], images=picture, return_tensors="pt")
        outputs = dino(**inputs)
        # theirs counts the marks between the phrases as well, which stand for no class
        marks = torch.isin(inputs.input_ids[0], torch.tensor([BERTS[mark] for mark in ("[CLS]", "[SEP]", ".")]))
        outputs.logits[:, :, : len(marks)][:, :, marks] = -torch.inf
        return reader.post_process_grounded_object_detection(outputs, inputs.input_ids, 0.0, 0.0, size)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(24, 40), (40, 24)])
def test_boxes_and_scores_are_transformers_own(kind: str, size: tuple[int, int], folders: dict[str, Path]) -> None:
    picture = noise(*size)
    (own,) = ask(folders, kind, [picture])
    other = theirs(folders[kind], kind, to_pil_image(picture))
    order = other["scores"].argsort(descending=True)
    limits = torch.tensor([size[1], size[0]] * 2)
    clipped = torch.minimum(other["boxes"][order].clamp(min=0), limits)
    wide = ((clipped[:, 2:] - clipped[:, :2]) >= 0.01).all(dim=1)
    assert wide.sum() >= 4
    torch.testing.assert_close(own["scores"], other["scores"][order][wide], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own["boxes"], clipped[wide], rtol=1e-3, atol=1e-2)
    if kind == "owlv2":
        assert own["labels"].tolist() == (other["labels"][order][wide] + 1).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_is_the_phrases_place(kind: str, folders: dict[str, Path]) -> None:
    """The same phrases in another order give the same boxes, under their new numbers."""
    phrases = ["the cello", "the cello acoustic", "the guitar"]
    if kind == "grounding_dino":  # the text is read together, so no score stays; one phrase alone has label 1
        assert set(ask(folders, kind, [noise(24, 40)], ["a tuba"])[0]["labels"].tolist()) == {1}
        return
    (found,) = ask(folders, kind, [noise(24, 40)], phrases)
    (turned,) = ask(folders, kind, [noise(24, 40)], phrases[::-1])
    torch.testing.assert_close(found["boxes"], turned["boxes"])
    assert found["labels"].tolist() == [4 - label for label in turned["labels"].tolist()]
    assert len(set(found["labels"].tolist())) > 1


def test_a_phrase_of_grounding_dino_has_the_tokens_between_its_stops(folders: dict[str, Path]) -> None:
    detector = load_zero_shot("grounding_dino", folders["grounding_dino"], PHRASES, threshold=0.1, nms=0.5)
    words = detector.processor.tokenizer.convert_ids_to_tokens(detector.ids[0].tolist())
    of_phrase = detector.of_phrase[:, : len(words)]  # type: ignore[index]
    read = [[word for word, own in zip(words, row, strict=True) if own] for row in of_phrase.tolist()]  # type: ignore
    assert read == [["a", "cello"], ["the", "acoustic", "guitar"], ["a", "tu", "##ba"]]


@pytest.mark.parametrize("kind", KINDS)
def test_threshold_and_nms_bound_what_comes_out(kind: str, folders: dict[str, Path]) -> None:
    pictures = [noise(24, 40, seed) for seed in range(3)]
    everything = ask(folders, kind, pictures)
    middle = float(torch.cat([one["scores"] for one in everything]).median())
    kept = ask(folders, kind, pictures, threshold=middle, nms=0.3)
    assert len(kept) == 3
    assert 0 < sum(len(one["scores"]) for one in kept) < sum(len(one["scores"]) for one in everything)
    for one in kept:
        assert (one["scores"] >= middle).all() and set(one["labels"].tolist()) <= {1, 2, 3}
        assert (one["scores"].diff() <= 0).all()
        assert (one["boxes"] >= 0).all() and (one["boxes"] <= torch.tensor([40, 24, 40, 24])).all()
        assert (one["boxes"][:, 2:] > one["boxes"][:, :2]).all()
        overlap = box_iou(one["boxes"], one["boxes"]).fill_diagonal_(0)
        assert (overlap[one["labels"][:, None] == one["labels"]] <= 0.3).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_seen_alike_alone_and_in_a_batch(kind: str, folders: dict[str, Path]) -> None:
    pictures = [noise(24, 40, seed) for seed in range(3)]
    together = ask(folders, kind, pictures)
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = ask(folders, kind, [picture])
        torch.testing.assert_close(alone["scores"], found["scores"], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone["boxes"], found["boxes"], rtol=1e-3, atol=1e-2)


def test_what_it_cannot_be_asked_is_refused(folders: dict[str, Path]) -> None:
    options = {"threshold": 0.1, "nms": 0.5}
    with pytest.raises(ValueError, match=r"has 42 tokens, OWLv2 reads 40"):
        load_zero_shot("owlv2", folders["owlv2"], ["a tuba", "x" * 40], **options)
    with pytest.raises(ValueError, match=r"the phrases have 34 tokens together, Grounding DINO reads 32"):
        load_zero_shot("grounding_dino", folders["grounding_dino"], ["a tuba"] * 8, **options)
    with pytest.raises(ValueError, match=r"'a cello\. a tuba' holds a full stop"):
        load_zero_shot("grounding_dino", folders["grounding_dino"], ["a cello. a tuba"], **options)
    with pytest.raises(ValueError, match="is none of owlv2, grounding_dino"):
        load_zero_shot("yolo", folders["owlv2"], PHRASES, **options)


def test_another_networks_files_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError, RuntimeError)):
        load_zero_shot("owlv2", folders["grounding_dino"], PHRASES, threshold=0.1, nms=0.5)
    with pytest.raises((ValueError, OSError)):
        load_zero_shot("owlv2", tmp_path, PHRASES, threshold=0.1, nms=0.5)
