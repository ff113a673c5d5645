"""VAST: separation by a picture or by a sentence, with CLIP as the teacher.

VAST (Tan et al.; CVPR 2023).  Of two sounding sources X, each has its visual query q_X, the maximum of CLIP's tokens
over its frames and positions, and its latent caption c_X (stage captions).  A mask for either comes from one U-Net:

    L     = w_v L1w(M(q_X), T_X) + w_t L1w(M(c_X), T_X) + w_k KL + w_c CE
    s_X   = the encoder's embedding of what M(q_X) lets through                             vast.masked
    KL    = KL( softmax 100 cos(c_X, tokens) || softmax 100 cos(s_X, tokens) ), over the positions of each frame
    CE    = cross entropy of softmax_v 100 cos(s_X, c_v) over all training videos v, target X's own

each the mean over the sources and the batch; KL, as published, also over the positions.  With trimodal.asks one, a step
asks for each source in one way, for one by its picture and for the other by its caption, as it is drawn: half of the
masks, and the mean over steps is the same.

checkpoints/captions/captions.safetensors, checkpoints/pretrained/clip.safetensors, data/index -> checkpoints/trimodal
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from avsep.clips.mixtures import Heard
from avsep.models.clip import LOGIT_SCALE
from avsep.models.vast import VAST, Seen, attention_logits
from avsep.params.stages import TrimodalParams
from avsep.run import run
from avsep.training.loop import learn
from avsep.training.masks import in_float32
from avsep.training.phase import Phase
from avsep.training.vast import TEXT, VISUAL, Ways, mask_losses, separate, shared_ways, weighted_sum
from stages._vast import schedule_of, vast_phase

PUBLISHED = {"visual_masks": 1.0, "text_masks": 1e-3, "consistency": 1e-3, "classification": 1e-3}


def objective(
    networks: VAST,
    heard: Heard,
    seen: Mapping[str, Seen],
    *,
    weights: Mapping[str, float] = PUBLISHED,
    asks: Literal["both", "one"] = "both",
    masked: str = "log",
    max_target: float = 5.0,
) -> dict[str, Tensor]:
    """The loss and its terms, scalars. A term that weighs nothing is not computed, if it costs a pass of its own."""
    ways: Ways = {name: (VISUAL, TEXT) if weights["text_masks"] > 0 else (VISUAL,) for name in seen}
    if asks == "one":
        ways = shared_ways(list(seen))
    masks = separate(networks, heard, seen, ways)
    terms = mask_losses(masks, heard, max_target)
    if weights["consistency"] > 0 or weights["classification"] > 0:
        by_picture = [name for name in seen if VISUAL in ways[name]]
        predicted = torch.cat([masks[VISUAL, name] for name in by_picture])  # (S * B, 1, F, T), sources in order
        sounds = networks.embed(heard.mixture.repeat(len(by_picture), 1, 1, 1), predicted, masked)  # (S * B, Q)
        of_these = [seen[name] for name in by_picture]
        tokens, sentences, captions = (torch.cat(values) for values in zip(*of_these, strict=True))
        looks, told = attention_logits(sounds, tokens).log_softmax(-1), attention_logits(sentences, tokens).softmax(-1)
        terms["consistency"] = functional.kl_div(looks, told, reduction="none").mean()
        with in_float32(sounds):  # a thousandth of a cosine counts here
            cosines = functional.normalize(sounds, dim=1) @ functional.normalize(networks.captions, dim=1).T
        terms["classification"] = functional.cross_entropy(LOGIT_SCALE * cosines, captions)
    return weighted_sum(terms, weights)


def phase(params: TrimodalParams) -> Phase:
    """Seeds all, then makes new networks with the latent captions; the samples wait for who trains.

    Raises InputError.
    """
    given = params.trimodal
    weights = {
        "visual_masks": given.visual_weight,
        "text_masks": given.text_weight,
        "consistency": given.consistency_weight,
        "classification": given.classification_weight,
    }
    return vast_phase(
        "trimodal",
        params,
        objective=partial(
            objective,
            weights=weights,
            asks=given.asks,
            masked=params.vast.masked,
            max_target=params.objective.max_target,
        ),
        schedule=schedule_of(
            params,
            epochs=given.epochs,
            shape=given.schedule,
            milestones=given.milestones,
            monitor=given.monitor,
        ),
        lr=given.lr_separation,
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), TrimodalParams)
