"""The demo's CLIP learns which captions go with pictures of the instruments, from rendered stills and drawn captions.

First the captions alone, then the pictures with them; at last both towers are scaled alike for VAST (`level`).
"""

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from open_clip.modified_resnet import Bottleneck
from torch import Tensor, nn
from torch.nn import functional as F

from avsep.demo.captions import caption
from avsep.demo.stills import Views
from avsep.models.clip import FrozenCLIP
from avsep.models.vast import visual_query
from avsep.pretraining.fitting import Log, fit
from avsep.pretraining.pictures import Squares, batched, network_input, varied
from avsep.weights.phrases import phrase_of, tokenise

PHRASE = "a person playing the {}"  # that the metrics ask for
CAPTIONS = 256  # of a class, that pictures learn from, of the 480 or 720 that can be drawn


def train_clip(
    clip: CLIP,
    squares: Squares,
    *,
    classes: Sequence[str],
    text_steps: int,
    epochs: int,
    batch: int,
    text_lr: float,
    lr: float,
    max_scale: float,
    tokens_weight: float,
    seed: int,
    log: Log,
    kept: Path | None = None,
) -> None:
    """Learns first which captions go together, for at most `text_steps` steps, then which pictures, of CLIP's size, go
    with them.

    An epoch shows each picture once, beside a caption of each class, drawn for each step.  Both towers at once stay at
    chance for long: at the start all captions have nearly the same embedding.  Captions alone soon lie apart
    (`text_steps` are few against the pictures'), and pictures then learn as from a classifier whose weights are given:
    captions are read once, and batches may be small, since no picture stands in for another's wrong caption.

    `max_scale` of the cosines, 100 for CLIP, decides how near pictures come to their captions: at a high one it is
    enough that other captions are farther away.  `tokens_weight`: of the same loss for the query that VAST makes of a
    picture's tokens, which CLIP is never asked for while it learns and which is right less often than its embedding.

    `kept`: as of `fit`.
    """
    device, labels = next(clip.parameters()).device, squares.labels
    for block in clip.visual.modules():
        if isinstance(block, Bottleneck):  # open_clip starts them as nothing, for long trainings
            nn.init.ones_(block.bn3.weight)

    def kinds(chosen: list[int]) -> Tensor:
        return torch.as_tensor(labels[chosen], device=device)

    def captions_alike(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        scale = clip.logit_scale.exp().detach()
        one, other = (_read(clip, [caption(rng, classes[label]) for label in labels[chosen]]) for _ in range(2))
        return {"contrastive": contrastive(scale * one @ other.T, kinds(chosen))}

    def captions_and_pictures(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        seen = varied(squares.pictures[chosen], rng, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD).to(device)
        with torch.no_grad():
            clip.logit_scale.clamp_(max=math.log(max_scale))
        said = told[range(len(classes)), rng.integers(CAPTIONS, size=len(classes))]  # (classes, Q)
        embedding, tokens = _pictures_and_tokens(clip, seen)

        def wrong(pictures: Tensor) -> Tensor:
            logits = clip.logit_scale.exp() * F.normalize(pictures, dim=-1) @ said.T  # (B, classes)
            return F.cross_entropy(logits, kinds(chosen))

        losses = {"cross_entropy": wrong(embedding)}
        if tokens_weight:
            losses["tokens"] = tokens_weight * wrong(visual_query(tokens[:, None]))  # of one frame each
        return losses

    def optimiser(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=0.05)

    visual = [*clip.visual.parameters(), clip.logit_scale]
    text = [p for name, p in clip.named_parameters() if not name.startswith(("visual.", "logit_scale"))]
    count = min(text_steps * batch, len(labels))
    clip.train()
    own: Any = {"batch": batch, "seed": seed, "log": log, "kept": kept}
    fit("clip_text", clip, captions_alike, optimiser(text), [text_lr], count, epochs=1, **own)
    told = _told(clip, classes, seed)
    fit("clip", clip, captions_and_pictures, optimiser(visual), [lr], len(labels), epochs=epochs, **own)
    clip.eval()
    some = np.random.default_rng([seed, zlib.crc32(b"level")]).permutation(len(labels))[:256].tolist()
    captions = [caption(np.random.default_rng([seed, index]), classes[labels[index]]) for index in some]
    seen = network_input(squares.pictures[some]).to(device)
    level(clip, seen, tokenise(captions, clip.context_length).to(device))


def _read(clip: CLIP, captions: Sequence[str]) -> Tensor:
    """Embeddings of B captions, of length 1: (B, Q)."""
    device = next(clip.parameters()).device
    return clip.encode_text(tokenise(captions, clip.context_length).to(device), normalize=True)


@torch.no_grad()
def _told(clip: CLIP, classes: Sequence[str], seed: int) -> Tensor:
    """What is said of each class in CAPTIONS captions, drawn: (classes, CAPTIONS, Q)."""
    salt = zlib.crc32(b"captions")
    drawn = [np.random.default_rng([seed, salt, zlib.crc32(name.encode())]) for name in classes]
    return torch.stack(
        [_read(clip, [caption(rng, name) for _ in range(CAPTIONS)]) for name, rng in zip(classes, drawn, strict=True)]
    )


def _pictures_and_tokens(clip: CLIP, seen: Tensor) -> tuple[Tensor, Tensor]:
    """CLIP's pictures (B, 3, H, W) -> embeddings (B, Q) and tokens (B, P, Q) as FrozenCLIP, with a gradient."""
    visual = clip.visual
    x = visual.stem(seen)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = layer(x)  # (B, C, rows, columns) at last
    pool = visual.attnpool
    positions = x.flatten(2).transpose(1, 2) + pool.positional_embedding[1:]  # (B, P, C)
    return pool(x), pool.c_proj(pool.v_proj(positions))


@torch.no_grad()
def level(clip: CLIP, pictures: Tensor, captions: Tensor) -> None:
    """Scales both towers' last projections so that a query of VAST's varies by 1 a value, by pictures (B, 3, H, W),
    ImageNet-normalised, and by captions (B, context) alike: as the maps do that its U-Net sets a query beside.

    No cosine changes.  Without it a query by picture varies five times as much as one by caption, and both share a
    decoder and its batch norm.
    """
    pool, frozen = clip.visual.attnpool, FrozenCLIP(clip)
    asked, told = visual_query(frozen.tokens(pictures)[:, None]), frozen.text(captions)
    for query, parameters in ((asked, [pool.c_proj.weight, pool.c_proj.bias]), (told, [clip.text_projection])):
        for parameter in parameters:
            parameter.div_(query.std(0).square().mean().sqrt())


def contrastive(logits: Tensor, labels: Tensor) -> Tensor:
    """InfoNCE in both directions over scaled cosines of pictures and captions (B, B) of classes `labels` (B,).

    All captions of a picture's class are right for it, to equal shares: none is a negative of its own kind.
    """
    same = (labels[:, None] == labels[None]).to(logits.dtype)  # (B, B), symmetric
    target = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@torch.no_grad()
def measure_clip(clip: CLIP, views: Sequence[Views], *, classes: Sequence[str], batch: int) -> dict[str, float]:
    """How often a picture is nearest to its class's phrase, by its embedding and by its dense tokens; and the cosines.

    `accuracy_*` for whole pictures and crops to the instrument, `tokens_accuracy_*` for the query that VAST makes of
    their tokens; `cosine_same` and `cosine_other` are whole pictures' means with their own and with other phrases.
    """
    device = next(clip.parameters()).device
    frozen = FrozenCLIP(clip)
    phrases = tokenise([phrase_of(name, PHRASE) for name in classes], frozen.context).to(device)
    texts = F.normalize(frozen.text(phrases), dim=-1)  # (classes, Q)
    cosines: dict[str, list[Tensor]] = {name: [] for name in ("whole", "near", "tokens_whole", "tokens_near")}
    for some in batched(views, batch):
        for name, pictures in (("whole", [v.whole for v in some]), ("near", [v.near for v in some])):
            seen = network_input(np.stack(pictures)).to(device)
            query = visual_query(frozen.tokens(seen)[:, None])  # of one frame each
            cosines[name].append(F.normalize(frozen.picture(seen), dim=-1) @ texts.T)
            cosines[f"tokens_{name}"].append(F.normalize(query, dim=-1) @ texts.T)
    labels = torch.tensor([view.label for view in views], device=device)
    joined = {name: torch.cat(parts) for name, parts in cosines.items()}  # (V, classes) each
    right = {name: float((values.argmax(dim=1) == labels).float().mean()) for name, values in joined.items()}
    own = F.one_hot(labels, len(classes)).bool()
    return {
        "accuracy_whole": right["whole"],
        "accuracy_near": right["near"],
        "tokens_accuracy_whole": right["tokens_whole"],
        "tokens_accuracy_near": right["tokens_near"],
        "cosine_same": float(joined["whole"][own].mean()),
        "cosine_other": float(joined["whole"][~own].mean()),
    }
