"""The demo's CLIP learns which captions go with pictures of the instruments, from rendered stills and drawn captions.

First the captions alone, then the pictures with them; at last both towers are scaled alike for VAST (`level`).
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from dvclive import Live
from open_clip.model import CLIP
from open_clip.modified_resnet import Bottleneck
from torch import Tensor, nn
from torch.nn import functional as F

from avsep.demo.captions import caption
from avsep.demo.stills import Views
from avsep.pretraining.fitting import fit
from avsep.pretraining.pictures import batched, network_input, varied
from avsep.weights.phrases import phrase_of, tokenise
from models.clip import FrozenCLIP, clip_normalised
from models.vast import visual_query

PHRASE = "a person playing the {}"  # that the metrics ask for


def train_clip(
    clip: CLIP,
    pictures: np.ndarray,
    labels: np.ndarray,
    *,
    classes: Sequence[str],
    text_steps: int,
    epochs: int,
    batch: int,
    text_lr: float,
    lr: float,
    max_scale: float,
    seed: int,
    live: Live,
) -> None:
    """Learns first which captions go together, for at most `text_steps` steps, then which pictures go with them.

    An epoch shows each picture once, with a caption drawn for it.  Both towers at once stay at chance for long: at the
    start all captions have nearly the same embedding.  Captions alone soon lie apart (`text_steps` are few against the
    pictures'), and pictures then learn as from a classifier whose weights are given.

    `max_scale` of the cosines, 100 for CLIP, decides how near pictures come to their captions: at a high one it is
    enough that other captions are farther away.
    """
    device = next(clip.parameters()).device
    for block in clip.visual.modules():
        if isinstance(block, Bottleneck):  # open_clip starts them as nothing, for long trainings
            nn.init.ones_(block.bn3.weight)

    def read(chosen: list[int], rng: np.random.Generator) -> Tensor:
        captions = [caption(rng, classes[label]) for label in labels[chosen]]
        return clip.encode_text(tokenise(captions, clip.context_length).to(device), normalize=True)

    def kinds(chosen: list[int]) -> Tensor:
        return torch.as_tensor(labels[chosen], device=device)

    def captions_alike(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        scale = clip.logit_scale.exp().detach()
        return {"contrastive": contrastive(scale * read(chosen, rng) @ read(chosen, rng).T, kinds(chosen))}

    def captions_and_pictures(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        seen = _clip_input(varied(network_input(pictures[chosen]), rng).to(device), clip.visual.image_size)
        with torch.no_grad():
            clip.logit_scale.clamp_(max=math.log(max_scale))
            said = read(chosen, rng)
        logits = clip.logit_scale.exp() * clip.encode_image(seen, normalize=True) @ said.T
        return {"contrastive": contrastive(logits, kinds(chosen))}

    def optimiser(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=0.05)

    visual = [*clip.visual.parameters(), clip.logit_scale]
    text = [p for name, p in clip.named_parameters() if not name.startswith(("visual.", "logit_scale"))]
    count = min(text_steps * batch, len(labels))
    clip.train()
    fit("clip_text", captions_alike, optimiser(text), [text_lr], count, epochs=1, batch=batch, seed=seed, live=live)
    fit(
        "clip",
        captions_and_pictures,
        optimiser(visual),
        [lr],
        len(labels),
        epochs=epochs,
        batch=batch,
        seed=seed,
        live=live,
    )
    clip.eval()
    some = np.random.default_rng([seed, zlib.crc32(b"level")]).permutation(len(labels))[:256].tolist()
    captions = [caption(np.random.default_rng([seed, index]), classes[labels[index]]) for index in some]
    seen = _resized(network_input(pictures[some]).to(device), clip.visual.image_size)
    level(clip, seen, tokenise(captions, clip.context_length).to(device))


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


def _resized(pictures: Tensor, size: int) -> Tensor:
    """Squares (B, 3, H, H) -> (B, 3, size, size)"""
    return F.interpolate(pictures, (size, size), mode="bicubic", antialias=True)


def _clip_input(pictures: Tensor, size: int) -> Tensor:
    """ImageNet-normalised squares (B, 3, H, H) -> CLIP's (B, 3, size, size)."""
    return clip_normalised(_resized(pictures, size)).contiguous(memory_format=torch.channels_last)


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
