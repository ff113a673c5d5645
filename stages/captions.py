"""Stage captions: VAST's latent captions, one sentence of free token embeddings for each training video.

VAST (Tan et al.; CVPR 2023).  With CLIP frozen, a video's K token embeddings e between start and end token descend

    L(e) = - 100 cos(CLIP text(e), CLIP picture(middle frame))                  captions.loss: sum

or a B-th of that, of the B captions of a batch (mean, as published), and the last text embedding is kept, or the one
with the highest cosine (captions.keep).  Each video stops by itself, in a batch whose size is always the same: its
caption depends on no other video, so that new ones cost their own time only.

checkpoints/pretrained/clip.safetensors, data/index -> checkpoints/captions
"""

import hashlib
import logging
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import open_clip
import PIL
import torch
from torch import Tensor
from torch.nn import functional

import avsep.clips.datasets
import avsep.media.frames
import avsep.models.clip
from avsep.clips.datasets import ClipReader
from avsep.clips.index import Video, read_index
from avsep.files.ledgers import fingerprint
from avsep.files.metrics import write_made, write_metrics
from avsep.files.working import refuse_changed
from avsep.media.frames import read_jpeg
from avsep.models.clip import LOGIT_SCALE, FrozenCLIP
from avsep.params.stages import CaptionsParams
from avsep.progress import progress
from avsep.run import run
from avsep.training.seeds import seed_everything
from avsep.weights.captions import Caption, load_captions, save_captions
from avsep.weights.clip import class_queries, clip_hash
from stages._clip import teacher_of

INDEX = Path("data/index/train.csv")
# Where DVC does not reset them: those that a run makes before it has made all.
UNFINISHED = Path("checkpoints/resume/captions/captions.safetensors")


def main(params: CaptionsParams) -> None:
    began = time.monotonic()
    seed_everything(params.seed)
    clip = teacher_of(params).to(params.device)
    videos = read_index(INDEX)
    weights = clip_hash()
    reader = ClipReader(
        rate=1, samples=1, fps=params.vast.fps, kept_fps=params.extract.fps, count=1, stride=1, objects=False,
        resize=params.clip.image_size, size=params.clip.image_size,
    )  # fmt: skip
    middle = {video: reader.middle(video) for video in videos}
    made_from = fingerprints(
        {video: reader.kept(video, frame) for video, frame in middle.items()},
        {
            "seed": params.seed,
            "threads": params.threads,
            "device": params.device,
            "clip": [weights, asdict(params.clip)],
            "captions": asdict(params.captions),
        },
    )
    earlier = load_captions()
    captions = {
        video.name: known[video.name]
        for known in (earlier, load_captions(UNFINISHED))
        for video in videos
        if video.name in known and known[video.name].fingerprint == made_from[video]
    }
    todo = [video for video in videos if video.name not in captions]
    logging.info("captions: %d of %d videos to describe", len(todo), len(videos))

    std = float(clip.clip.token_embedding.weight.std()) if params.captions.start == "tokens" else 1.0
    batches = [todo[at : at + params.captions.batch] for at in range(0, len(todo), params.captions.batch)]
    for batch in progress(batches, "captions", len(batches), "batch"):
        # filled up with its last video, since another size of the batch would give other bits
        full = batch + batch[-1:] * (params.captions.batch - len(batch))
        pictures = torch.cat([reader.pictures(video, [middle[video]]) for video in full])
        found, before, after = describe(
            clip,
            clip.picture(pictures.to(params.device)),
            torch.stack([std * start(clip, params.seed, video) for video in full]).to(params.device),
            lr=params.captions.lr,
            steps=params.captions.steps,
            patience=params.captions.patience,
            min_gain=params.captions.min_gain,
            loss=params.captions.loss,
            keep=params.captions.keep,
        )
        for video, *values in zip(batch, found.cpu(), before.tolist(), after.tolist(), strict=False):
            captions[video.name] = Caption(made_from[video], *values)
        save_captions(captions, weights, UNFINISHED)
    save_captions(captions, weights)
    write_metrics("captions", summary(clip, videos, captions, params.vast.phrase))
    refuse_changed()  # while they are there
    shutil.rmtree(UNFINISHED.parent, ignore_errors=True)
    gone = len(earlier.keys() - captions.keys())
    made, seconds = len(todo), time.monotonic() - began
    write_made("captions", made=made, kept=len(videos) - made, gone=gone, seconds=seconds)


def fingerprints(middle: Mapping[Video, int], settings: Mapping[str, object]) -> dict[Video, str]:
    """Of each video: a hash of all that its caption is made from, its `middle` frame, the code and `settings`."""
    code = [Path(module.__file__ or "") for module in (avsep.models.clip, avsep.media.frames, avsep.clips.datasets)]
    versions = {"torch": torch.__version__, "open_clip": open_clip.__version__, "pillow": PIL.__version__}
    shared = fingerprint([], [*code, Path(__file__)], {**settings, **versions})
    return {
        video: fingerprint([], [], {"shared": shared, "video": video.name, "picture": _hash_frame(video, frame)})
        for video, frame in middle.items()
    }


def _hash_frame(video: Video, frame: int) -> str:
    return hashlib.sha256(read_jpeg(video.frames, frame)).hexdigest()


def start(clip: FrozenCLIP, seed: int, video: Video) -> Tensor:
    """Where a video's caption starts: K normal token embeddings (K, text_width)."""
    random = np.random.default_rng([seed, zlib.crc32(video.name.encode())])
    return torch.from_numpy(random.standard_normal((clip.context - 2, clip.text_width), np.float32))


def describe(
    clip: FrozenCLIP,
    pictures: Tensor,
    free: Tensor,
    *,
    lr: float,
    steps: int,
    patience: int | None,
    min_gain: float,
    loss: str,
    keep: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """CLIP's embeddings of pictures (B, Q), and first token embeddings (B, K, text_width) -> the text embeddings (B, Q)
    that are kept, and the cosines (B,) before and after.

    `loss`: each row descends by itself (sum), or at a B-th of the rate, however many still run (mean).
    `keep`: the row's embedding with the highest cosine (best), or its last one (last).
    A row rests when it has not gained `min_gain`, or anything if that is 0, for `patience` steps, if there is one; no
    row moves another.
    """
    scale = LOGIT_SCALE / len(pictures) if loss == "mean" else LOGIT_SCALE
    free = free.clone().requires_grad_()
    optimiser = torch.optim.SGD([free], lr)
    best = marked = before = after = pictures.new_full((len(pictures),), -torch.inf)
    kept = torch.zeros_like(pictures)
    waited = torch.zeros_like(best)
    running = torch.ones_like(best, dtype=torch.bool)
    for step in range(steps + 1):
        text = clip.latent(free)
        cosine = functional.cosine_similarity(text, pictures)
        with torch.no_grad():
            if step == 0:
                before = cosine.clone()
            better = running & (cosine > best)
            best = torch.where(better, cosine, best)
            taken = running if keep == "last" else better
            kept[taken], after = text[taken], torch.where(taken, cosine, after)
            gained = better & (best >= marked + min_gain)
            marked, waited = torch.where(gained, best, marked), torch.where(gained, 0, waited + 1)
            if patience is not None:
                running = waited < patience
        if step == steps or not running.any():
            break
        optimiser.zero_grad()
        (-scale * cosine[running]).sum().backward()  # by a constant: each row descends as if it were alone
        optimiser.step()
    return kept, before, after


def summary(clip: FrozenCLIP, videos: Sequence[Video], captions: dict[str, Caption], phrase: str) -> dict[str, object]:
    """metrics/captions.json: `nearest_is_class`, how often the nearest class's phrase is that of the video's class."""
    classes = sorted({video.category for video in videos})
    phrases = functional.normalize(class_queries(clip, classes, phrase).cpu(), dim=1)
    embeddings = functional.normalize(torch.stack([captions[video.name].embedding for video in videos]), dim=1)
    nearest = (embeddings @ phrases.T).argmax(1).tolist()
    right = [classes[row] == video.category for row, video in zip(nearest, videos, strict=True)]
    return {
        "videos": len(videos),
        "cosine_before": float(np.mean([captions[video.name].before for video in videos])),
        "cosine_after": float(np.mean([captions[video.name].after for video in videos])),
        "nearest_is_class": float(np.mean(right)),
    }


if __name__ == "__main__":
    run(main, CaptionsParams)
