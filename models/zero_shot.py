"""Detectors that are asked in words, behind the interface of models/detector.py: transformers' OWLv2 (Minderer,
Gritsenko, Houlsby, NeurIPS 2023) and Grounding DINO (Liu et al., ECCV 2024).

Label k stands for the k-th phrase, from 1.  Both networks resize and normalise pictures as the files beside their
weights say, whatever the params of Faster R-CNN are.  Weights come from safetensors files of a local folder alone; no
code that lies there is run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_convert, clip_boxes_to_image, remove_small_boxes
from transformers import (
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Owlv2ForObjectDetection,
    Owlv2Processor,
)
from transformers.utils import logging as transformers_logging

MOST = 100  # detections of a picture, as many as torchvision's detectors give
SMALLEST = 0.01  # pixels of a box's side; torchvision's detectors drop narrower ones too
VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))  # any of them will do


def load_zero_shot(
    kind: str, folder: Path, phrases: Sequence[str], *, threshold: float, nms: float
) -> "ZeroShotDetector":
    """The detector whose files, as `save_pretrained` writes them, lie in `folder`, asked for `phrases`, in eval mode.

    `kind` is owlv2 or grounding_dino.  Raises ValueError or OSError for files that are not such a detector's, and for
    phrases that it cannot be asked.
    """
    if kind not in _CLASSES:
        raise ValueError(f"{kind!r} is none of {', '.join(_CLASSES)}")
    network_class, processor_class, detector_class = _CLASSES[kind]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not isinstance(config, dict) or config.get("model_type") != network_class.config_class.model_type:
        raise ValueError(f"{folder / 'config.json'} is not of {network_class.config_class.model_type}")
    if not any(all((folder / name).is_file() for name in names) for names in VOCABULARIES):
        # transformers would read every phrase as the same unknown word
        raise ValueError(f"{folder} has no vocabulary: neither {' nor '.join(map(' with '.join, VOCABULARIES))}")
    if (weights := folder / "model.safetensors").is_file():  # else transformers says what it looked for
        _refuse_weights(weights, config)
    transformers_logging.disable_progress_bar()  # weights load in seconds
    told = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # else a table in colours of what is refused in a line below
    try:
        network, loading = network_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    finally:
        transformers_logging.set_verbosity(told)
    if lacking := sorted(loading["missing_keys"]):
        raise ValueError(f"{folder} lacks the weights {lacking[0]} and {len(lacking) - 1} others of {kind}")
    processor = processor_class.from_pretrained(folder, local_files_only=True)
    return detector_class(network, processor, phrases, threshold=threshold, nms=nms).eval()


def _refuse_weights(path: Path, config: dict[str, Any]) -> None:
    """Raises ValueError for what transformers would take: weights that are no floats, and more layers than there are
    weights, which it would build first, for hours."""
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        kinds = {name: file.get_slice(name).get_dtype() for name in names}
    for name, kind in kinds.items():
        if name.endswith(("weight", "bias")) and not kind.startswith(("F", "BF")):
            raise ValueError(f"{path}: {name} is of {kind}")
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name, value in part.items():
            if "layers" in name and isinstance(value, int) and value > len(names):
                raise ValueError(f"its {name} is {value}, and {path} holds {len(names)} weights")


class ZeroShotDetector(nn.Module):
    """A network that scores each of its N boxes of a picture for each of C phrases."""

    ids: Tensor  # of the phrases' tokens
    mask: Tensor  # which of them are text
    network: Any

    def __init__(self, network: nn.Module, processor: Any, phrases: Sequence[str], *, threshold: float, nms: float):
        super().__init__()
        self.network, self.processor = network, processor
        self.threshold, self.nms = threshold, nms
        self.ask(phrases)

    def ask(self, phrases: Sequence[str]) -> None:
        """Reads the phrases. Raises ValueError for those that the network cannot tell apart or take whole."""
        raise NotImplementedError

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """B pictures (3, H, W) in [0, 1] -> scores (B, N, C) in [0, 1], boxes (B, N, 4): centre, width and height as
        shares of `extent`."""
        raise NotImplementedError

    def extent(self, height: int, width: int) -> tuple[int, int]:
        """Width and height in pixels of what a box's shares are of."""
        raise NotImplementedError

    def forward(self, pictures: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Of each picture (3, H, W) its boxes (N, 4) as x1, y1, x2, y2 in pixels, labels (N,) from 1, scores (N,).

        A box has one class, its best.  Those below `threshold` go, and of two boxes of a class whose IoU is above
        `nms` the less confident one.
        """
        scores, boxes = self.see(pictures)
        return [
            self._strongest(own_scores, own_boxes, *picture.shape[1:])
            for picture, own_scores, own_boxes in zip(pictures, scores, boxes, strict=True)
        ]

    def _strongest(self, scores: Tensor, boxes: Tensor, height: int, width: int) -> dict[str, Tensor]:
        confidence, label = scores.max(dim=1)  # (N,) each
        across, down = self.extent(height, width)
        corners = box_convert(boxes, "cxcywh", "xyxy") * boxes.new_tensor([across, down, across, down])
        corners = clip_boxes_to_image(corners, (height, width))
        kept = torch.nonzero(confidence >= self.threshold).squeeze(1)
        kept = kept[remove_small_boxes(corners[kept], SMALLEST)]
        kept = kept[batched_nms(corners[kept], confidence[kept], label[kept], self.nms)[:MOST]]
        return {"boxes": corners[kept], "labels": label[kept] + 1, "scores": confidence[kept]}


class OWLv2(ZeroShotDetector):
    """Each phrase is encoded on its own, and compared with what the picture transformer makes of each patch."""

    def ask(self, phrases: Sequence[str]) -> None:
        tokenizer = self.processor.tokenizer
        longest: int = self.network.config.text_config.max_position_embeddings
        for phrase in phrases:
            if (count := len(tokenizer(phrase)["input_ids"])) > longest:
                raise ValueError(f"the phrase {phrase!r} has {count} tokens, OWLv2 reads {longest}")
        tokens = tokenizer(list(phrases), padding="max_length", max_length=longest, return_tensors="pt")
        self.register_buffer("ids", tokens["input_ids"], persistent=False)  # (C, longest)
        self.register_buffer("mask", tokens["attention_mask"], persistent=False)

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        seen = self.processor.image_processor(as_files_hold(pictures), return_tensors="pt")
        outputs = self.network(
            pixel_values=seen["pixel_values"].to(self.ids.device),
            input_ids=self.ids.repeat(len(pictures), 1),  # (B C, longest)
            attention_mask=self.mask.repeat(len(pictures), 1),
        )
        return outputs.logits.sigmoid(), outputs.pred_boxes

    def extent(self, height: int, width: int) -> tuple[int, int]:
        longer = max(height, width)  # it pads to a square, below or at the right
        return longer, longer


class GroundingDINO(ZeroShotDetector):
    """All phrases are one text, "a cello. a flute."; a phrase's score is the highest of its tokens'."""

    types: Tensor  # of the tokens, as BERT counts them
    of_phrase: Tensor  # which tokens are each phrase's

    def ask(self, phrases: Sequence[str]) -> None:
        if marked := [phrase for phrase in phrases if set(phrase) & set(".?")]:
            raise ValueError(f"the phrase {marked[0]!r} holds a full stop or a question mark, which ends a phrase")
        text = " ".join(f"{phrase.strip().lower()}." for phrase in phrases)
        tokens = self.processor.tokenizer(text, return_token_type_ids=True, return_tensors="pt")
        longest: int = self.network.config.max_text_len
        ids = tokens["input_ids"]
        if ids.shape[1] > longest:
            raise ValueError(f"the phrases have {ids.shape[1]} tokens together, Grounding DINO reads {longest}")
        stops = torch.nonzero(ids[0] == self.processor.tokenizer.convert_tokens_to_ids(".")).squeeze(1).tolist()
        starts = [1, *(stop + 1 for stop in stops[:-1])]  # the text's own start token comes before
        of_phrase = torch.zeros(len(phrases), longest, dtype=torch.bool)
        for row, start, stop in zip(of_phrase, starts, stops, strict=True):
            row[start:stop] = True
        self.register_buffer("ids", ids, persistent=False)  # (1, T)
        self.register_buffer("types", tokens["token_type_ids"], persistent=False)
        self.register_buffer("mask", tokens["attention_mask"], persistent=False)
        self.register_buffer("of_phrase", of_phrase, persistent=False)  # (C, longest)

    def see(self, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        seen = self.processor.image_processor(as_files_hold(pictures), return_tensors="pt")
        outputs = self.network(
            pixel_values=seen["pixel_values"].to(self.ids.device),
            pixel_mask=seen["pixel_mask"].to(self.ids.device),
            input_ids=self.ids.expand(len(pictures), -1),
            token_type_ids=self.types.expand(len(pictures), -1),
            attention_mask=self.mask.expand(len(pictures), -1),
        )
        of_token = outputs.logits.sigmoid()  # (B, N, longest); 0 beyond the text
        scores = [of_token[..., own].amax(dim=-1) for own in self.of_phrase]
        return torch.stack(scores, dim=-1), outputs.pred_boxes

    def extent(self, height: int, width: int) -> tuple[int, int]:
        return width, height


def as_files_hold(pictures: Sequence[Tensor]) -> list[Tensor]:
    """Pictures (3, H, W) in [0, 1] as bytes, which the networks' own preparation starts from: it rounds in between."""
    return [(255 * picture).round().to(torch.uint8) for picture in pictures]


_CLASSES: dict[str, tuple[Any, Any, type[ZeroShotDetector]]] = {
    "owlv2": (Owlv2ForObjectDetection, Owlv2Processor, OWLv2),
    "grounding_dino": (GroundingDinoForObjectDetection, GroundingDinoProcessor, GroundingDINO),
}
