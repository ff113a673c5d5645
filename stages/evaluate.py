"""All systems on the same fixed test mixtures A + C beside the silent objects B and D.

Beside the trained systems stand the mixture itself and the oracle ratio mask (same STFT, the mixture's phase), and VAST
asked for what is not there: by the picture, and by the phrase, of a silent object.  Separation is scored with each
sounding object's own mask; what silent objects are given is scored under a gate on the grounding probability, as a
listener would get it, which validation's mixtures calibrate unless params name one.  VAST says how sure it is that a
phrase's sound is there, by the cosine of the phrase with the embedding of what it separates for it; validation
calibrates the threshold of that too.  Definitions: avsep/scoring.

checkpoints/{baseline,colearning,cyclic,trimodal,finetune}/best.safetensors, checkpoints/pretrained/clip.safetensors,
data/index/{val,test}_sep.csv
    -> metrics/evaluate.json, metrics/pairs.csv, metrics/phrases.csv, metrics/skipped.csv, metrics/examples
"""

import json
import logging
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch

from avsep.clips.datasets import ClipReader, FixedMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Mixture, Video, read_index, read_mixtures
from avsep.clips.mixtures import Heard, hear
from avsep.clips.phrases import phrase_of, tokenise
from avsep.errors import InputError
from avsep.media.detections import most_confident, read_detections, squared
from avsep.media.frames import frame_path, read_frame
from avsep.media.spectrogram import apply_masks
from avsep.media.wav import write_wav
from avsep.params import EvaluateParams
from avsep.run import progress, run, write_metrics
from avsep.scoring.grounding import calibrated_gate, grounding_scores
from avsep.scoring.separation import score_sources
from avsep.scoring.silence import leakage_db
from avsep.training.checkpoints import load_into, load_weights
from avsep.training.seeds import seed_everything
from avsep.training.teacher import load_teacher
from models.ccol import CCoL
from models.clip import FrozenCLIP
from models.sound_of_pixels import SoundOfPixels
from models.vast import VAST, attention_logits, visual_query

CONTROLS = ("trimodal_synonym", "trimodal_wrong_picture", "trimodal_wrong_text")  # scored; nothing to listen to
SYSTEMS = (
    *("mixture", "oracle", "baseline", "colearning", "cyclic"),
    *("trimodal_visual", "trimodal_text", "finetune_visual", "finetune_text"),
    *CONTROLS,
)
SILENT = tuple(name for name in OBJECTS if name not in SOUNDING)  # each beside the sounding one of its place
GROUNDED = ("colearning", "cyclic")
ASKED = ("trimodal", "finetune")  # by a picture or a phrase
SCORES = ("sdr", "sir", "sar", "nsdr", "si_sdr", "si_sdri")
ROUNDED = 0.5  # the decision that training takes, and the threshold of the grounding scores


@dataclass(frozen=True)
class Outcome:
    """What the systems made of one mixture. Waves (L,); masks (F, T) after the log-frequency warp."""

    number: int
    videos: Mapping[str, Video]
    references: Mapping[str, np.ndarray]  # of the sounding objects, as they sound in the mixture
    estimates: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> wave
    masks: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> mask
    probabilities: Mapping[str, Mapping[str, float]]  # grounded system -> object -> that it sounds
    confidences: Mapping[str, float]  # phrase -> cosine with what trimodal separates for it
    attention: Mapping[str, np.ndarray]  # object -> where trimodal looks for its sound, (rows, columns), sum 1
    heard: np.ndarray  # log1p magnitude of the mixture, (F, T)

    @property
    def mixture(self) -> np.ndarray:
        return sum(self.references.values())  # type: ignore[return-value]


@dataclass(frozen=True)
class Told:
    """What CLIP says of the videos' pictures, and of phrases."""

    tokens: Mapping[str, torch.Tensor]  # video's name -> (N, P, Q), of the frames around its middle
    grid: tuple[int, int]  # rows and columns of the P positions
    classes: Mapping[str, str]  # class -> the phrase that asks for it
    synonyms: Mapping[str, str]  # class -> the same in other words, where params have them
    unmatched: Sequence[str]  # phrases that no class matches
    phrases: Mapping[str, torch.Tensor]  # each of these phrases -> (Q,)

    @property
    def probes(self) -> list[str]:
        """The phrases that every mixture is asked for."""
        return list(dict.fromkeys([*self.classes.values(), *self.unmatched]))


@torch.no_grad()
def tell(
    clip: FrozenCLIP, mixtures: Sequence[Mixture], reader: ClipReader, template: str, synonyms: Mapping[str, str],
    unmatched: Sequence[str],
) -> Told:  # fmt: skip
    """Asks CLIP, once for each video and each phrase. Raises InputError for a phrase that it cannot read."""
    device = next(clip.parameters()).device
    videos = sorted({video for mixture in mixtures for video in mixture})
    tokens = {}
    for video in progress(videos, "CLIP's tokens", len(videos), "video"):
        middle = FixedMixtures([], reader, heard=(), seen=()).centre(video)
        pictures = reader.pictures(video, reader.frames_around(video, middle))
        tokens[video.name] = clip.tokens(pictures.to(device))
    classes = {name: phrase_of(name, template) for name in sorted({video.category for video in videos})}
    said = {name: phrase for name, phrase in synonyms.items() if name in classes}
    if strangers := sorted(set(synonyms) - set(classes)):
        logging.warning("evaluate.synonyms names %s, of which validation and test have no video", ", ".join(strangers))
    wanted = list(dict.fromkeys([*classes.values(), *said.values(), *unmatched]))
    embeddings = clip.text(tokenise(wanted, clip.context).to(device))
    return Told(tokens, clip.grid, classes, said, unmatched, dict(zip(wanted, embeddings, strict=True)))


def ask(network: VAST, heard: Heard, mixtures: Sequence[Mixture], told: Told, controls: bool) -> dict[str, Any]:
    """Kind of query -> sounding object -> VAST's masks (B, 1, F, T): `visual` and `text`, by the object's picture and
    by its class's phrase; with `controls` `synonym`, and, by those of the silent object beside it, `wrong_*`."""
    videos = {name: [mixture[OBJECTS.index(name)] for mixture in mixtures] for name in OBJECTS}

    def visual(name: str) -> torch.Tensor:
        return visual_query(torch.stack([told.tokens[video.name] for video in videos[name]]))

    def text(name: str, words: Mapping[str, str] = told.classes) -> torch.Tensor:
        return torch.stack(
            [told.phrases[words.get(video.category, told.classes[video.category])] for video in videos[name]]
        )

    queries = {}
    for name, silent in zip(SOUNDING, SILENT, strict=True):
        queries["visual", name], queries["text", name] = visual(name), text(name)
        if controls:
            queries["synonym", name] = text(name, told.synonyms)
            queries["wrong_picture", name], queries["wrong_text", name] = visual(silent), text(silent)
    masks: dict[str, Any] = {}
    for (kind, name), mask in network.separate(heard.mixture, queries).items():
        masks.setdefault(kind, {})[name] = mask
    return masks


def confidences(network: VAST, heard: Heard, told: Told, masked: str) -> torch.Tensor:
    """How sure VAST is that each of `told.probes` sounds in each mixture, (B, probes): the cosine of the phrase with
    the embedding of what it separates for it."""
    count = len(heard.mixture)
    queries = {phrase: told.phrases[phrase].expand(count, -1) for phrase in told.probes}
    masks = network.separate(heard.mixture, queries)
    sure = [
        torch.cosine_similarity(network.embed(heard.mixture, masks[phrase], masked), query)
        for phrase, query in queries.items()
    ]
    return torch.stack(sure, dim=1)


def attend(network: VAST, heard: Heard, mask: torch.Tensor, videos: Sequence[Video], told: Told, masked: str) -> Any:
    """Where in the middle frame of each video what `mask` separates is seen, (B, rows, columns), each summing to 1."""
    tokens = torch.stack([told.tokens[video.name] for video in videos])  # (B, N, P, Q)
    logits = attention_logits(network.embed(heard.mixture, mask, masked), tokens)
    return logits[:, tokens.shape[1] // 2].softmax(-1).unflatten(-1, told.grid)


@torch.no_grad()
def separate_all(
    networks: Mapping[str, Any],
    mixtures: Mapping[str, FixedMixtures],
    told: Told,
    *,
    masked: str,
    spectrogram: Mapping[str, Any],
    max_target: float,
    device: str,
    batch: int,
) -> Iterator[Outcome]:
    """Each system's masks, estimates and probabilities, mixture by mixture.

    `mixtures` are what each system sees; VAST is asked by what CLIP has `told`.
    """
    reader = mixtures["cyclic"]
    mask_to_wave = partial(
        apply_masks,
        n_fft=spectrogram["n_fft"],
        hop=spectrogram["hop"],
        align_corners=spectrogram["align_corners"],
    )
    loaders = {name: torch.utils.data.DataLoader(data, batch) for name, data in mixtures.items()}
    number = 0
    for batches in zip(*loaders.values(), strict=True):
        samples = dict(zip(loaders, batches, strict=True))
        waves = {name: wave.to(device) for name, wave in samples["cyclic"]["waves"].items()}
        mixture = torch.stack(list(waves.values())).sum(0)
        heard = hear(waves, **spectrogram)
        masks = {"oracle": {name: heard.target(name, max_target) for name in SOUNDING}}
        probabilities = {}
        row = reader.mixtures[number : number + len(mixture)]
        for system in ASKED:
            asked = ask(networks[system], heard, row, told, controls=system == "trimodal")
            masks.update({f"{system}_{kind}": objects for kind, objects in asked.items()})
        sure = confidences(networks["trimodal"], heard, told, masked).cpu()
        attention = {}
        for name in SOUNDING:
            videos = [one[OBJECTS.index(name)] for one in row]
            where = attend(networks["trimodal"], heard, masks["trimodal_visual"][name], videos, told, masked)
            attention[name] = where.cpu().numpy()
        for system in samples:
            network = networks[system]
            seen = {n: network.frames(p.to(device)) for n, p in samples[system]["pictures"].items()}
            masks[system] = network.separate(heard.log_mixture, seen)
            if system in GROUNDED:
                g = network.ground({"mixture": heard.log_mixture}, seen)
                probabilities[system] = {name: g.probability("mixture", name).cpu() for name in OBJECTS}
        estimates = {
            system: {name: mask_to_wave(mask.squeeze(1), mixture).cpu().numpy() for name, mask in objects.items()}
            for system, objects in masks.items()
        }
        estimates["mixture"] = {name: mixture.cpu().numpy() for name in SOUNDING}
        for b in range(len(mixture)):
            yield Outcome(
                number,
                dict(zip(OBJECTS, reader.mixtures[number], strict=True)),
                {name: wave[b].cpu().numpy() for name, wave in waves.items()},
                {s: {n: e[b] for n, e in objects.items()} for s, objects in estimates.items()},
                {s: {n: m[b, 0].cpu().numpy() for n, m in objects.items()} for s, objects in masks.items()},
                {s: {n: float(p[b]) for n, p in objects.items()} for s, objects in probabilities.items()},
                dict(zip(told.probes, sure[b].tolist(), strict=True)),
                {n: where[b] for n, where in attention.items()},
                heard.log_mixture[b, 0].cpu().numpy(),
            )
            number += 1


@torch.no_grad()
def sounding_probabilities(
    networks: Mapping[str, Any], mixtures: FixedMixtures, *, spectrogram: Mapping[str, Any], device: str, batch: int
) -> dict[str, list[float]]:
    """What each grounded system gives to the objects that sound in the mixtures, by which a gate is calibrated."""
    found: dict[str, list[float]] = {system: [] for system in GROUNDED}
    for samples in torch.utils.data.DataLoader(mixtures, batch):
        heard = hear({name: wave.to(device) for name, wave in samples["waves"].items()}, **spectrogram)
        for system, probabilities in found.items():
            network = networks[system]
            seen = {name: network.frames(pictures.to(device)) for name, pictures in samples["pictures"].items()}
            g = network.ground({"mixture": heard.log_mixture}, seen)
            for name in SOUNDING:
                probabilities += g.probability("mixture", name).tolist()
    return found


@torch.no_grad()
def present_confidences(
    network: VAST, mixtures: FixedMixtures, told: Told, *, masked: str, spectrogram: Mapping[str, Any], device: str,
    batch: int,
) -> list[float]:  # fmt: skip
    """How sure VAST is of the phrases of what does sound in the mixtures, by which a threshold is calibrated."""
    found: list[float] = []
    for at, samples in zip(range(0, len(mixtures), batch), torch.utils.data.DataLoader(mixtures, batch), strict=True):
        heard = hear({name: wave.to(device) for name, wave in samples["waves"].items()}, **spectrogram)
        sure = confidences(network, heard, told, masked)
        for row, mixture in zip(sure.tolist(), mixtures.mixtures[at : at + batch], strict=True):
            by_phrase = dict(zip(told.probes, row, strict=True))
            found += [by_phrase[told.classes[mixture[OBJECTS.index(name)].category]] for name in SOUNDING]
    return found


def phrase_rows(outcome: Outcome, told: Told, threshold: float) -> list[dict[str, Any]]:
    """The rows of metrics/phrases.csv for one mixture."""
    sounding = {told.classes[outcome.videos[name].category] for name in SOUNDING}
    rows = []
    for phrase, confidence in outcome.confidences.items():
        kind = "present" if phrase in sounding else "unmatched" if phrase in told.unmatched else "absent"
        accepted = int(confidence >= threshold)
        rows.append(
            {
                "mixture": outcome.number,
                "phrase": phrase,
                "kind": kind,
                "confidence": confidence,
                "accepted": accepted,
            }
        )
    return rows


def score(
    outcome: Outcome, gates: Mapping[str, float], synonyms: Collection[str] = ()
) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of metrics/pairs.csv for one mixture, or no rows and the reason why it cannot be scored.

    `gates`: of each grounded system, the probability below which an object is muted.  `synonyms`: the classes that have
    one; no other is asked for by it.
    """
    references = np.stack([outcome.references[name] for name in SOUNDING])
    mixture = torch.from_numpy(outcome.mixture)
    rows = []
    for system in SYSTEMS:
        estimates = outcome.estimates[system]
        try:
            scores = score_sources(references, np.stack([estimates[name] for name in SOUNDING]), outcome.mixture)
        except InputError as error:
            return [], f"{system}: {error}"
        probabilities = outcome.probabilities.get(system, {})
        for name in estimates:
            video = outcome.videos[name]
            if system == "trimodal_synonym" and video.category not in synonyms:
                continue
            row: dict[str, Any] = {
                "mixture": outcome.number,
                "system": system,
                "object": name,
                "role": "sounding" if name in SOUNDING else "silent",
                "class": video.category,
                "video": video.name,
            }
            if name in probabilities:
                row["probability"] = probabilities[name]
                row["muted"] = int(probabilities[name] < gates[system])
            if name in SOUNDING:
                row.update({metric: values[SOUNDING.index(name)] for metric, values in scores.items()})
            else:
                given = torch.from_numpy(estimates[name]) * (1 - row["muted"])
                row["leakage_db"] = float(leakage_db(given, mixture))
            rows.append(row)
    return rows, None


def summarise_phrases(phrases: pd.DataFrame) -> dict[str, float]:
    """What metrics/evaluate.json tells of the rows of metrics/phrases.csv: how often a phrase is taken to be heard, and
    how well the confidence tells those that are from those that are not, and from those that match nothing."""
    accepted = phrases.groupby("kind")["accepted"].mean()
    summary = {f"accepted_{kind}": float(accepted[kind]) for kind in accepted.index}
    for kind, name in (("absent", "roc_auc"), ("unmatched", "roc_auc_unmatched")):
        if kind in accepted:
            rows = phrases[phrases["kind"].isin(["present", kind])]
            present = (rows["kind"] == "present").tolist()
            summary[name] = grounding_scores(rows["confidence"].tolist(), present, 0.0)["roc_auc"]
    return summary


def summarise_synonyms(pairs: pd.DataFrame) -> dict[str, float]:
    """NSDR by synonym, and by the plain phrase on the same objects; nothing if no class has a synonym."""
    sounding = pairs[pairs["role"] == "sounding"].set_index(["mixture", "object"])
    asked = {system: rows["nsdr"] for system, rows in sounding.groupby("system")}
    if "trimodal_synonym" not in asked:
        return {}
    synonym = asked["trimodal_synonym"]
    plain = asked["trimodal_text"].loc[synonym.index]
    return {"phrase_nsdr": float(plain.mean()), "synonym_nsdr": float(synonym.mean())}


def summarise(pairs: pd.DataFrame) -> dict[str, Any]:
    """What metrics/evaluate.json tells of the rows of metrics/pairs.csv: means over sounding sources, and counts."""
    sounding = pairs[pairs["role"] == "sounding"]
    summary: dict[str, Any] = {
        system: {metric: float(rows[metric].mean()) for metric in SCORES}
        for system in SYSTEMS
        if not (rows := sounding[sounding["system"] == system]).empty
    }
    for system in GROUNDED:
        rows = pairs[pairs["system"] == system]
        truth = rows["role"] == "sounding"
        grounding = grounding_scores(rows["probability"].tolist(), truth.tolist(), ROUNDED)
        leakage = rows.loc[~truth, "leakage_db"]
        silent = {
            "leakage_db": float(leakage.mean()),
            "leakage_db_p95": float(leakage.quantile(0.95)),
            "false_mute_rate": float(rows.loc[truth, "muted"].mean()),
        }
        suffix = "" if system == "cyclic" else f"_{system}"
        summary[f"grounding{suffix}"] = grounding
        summary[f"silent{suffix}"] = silent
    return summary


def write_example(
    folder: Path, outcome: Outcome, rows: Sequence[Mapping[str, Any]], reader: ClipReader, told: Told
) -> None:
    """Everything that the report shows of one mixture."""
    folder.mkdir(parents=True)
    write_wav(folder / "mixture.wav", outcome.mixture, reader.rate)
    for name, wave in outcome.references.items():
        write_wav(folder / f"{name}_reference.wav", wave, reader.rate)
    shown = [system for system in outcome.masks if system not in CONTROLS]
    arrays = {"mixture": outcome.heard}
    for system in shown:
        for name, wave in outcome.estimates[system].items():
            write_wav(folder / f"{name}_{system}.wav", wave, reader.rate)
            arrays[f"mask_{system}_{name}"] = outcome.masks[system][name]
    arrays.update({f"target_{name}": outcome.masks["oracle"][name] for name in SOUNDING})
    arrays.update({f"attention_trimodal_{name}": where for name, where in outcome.attention.items()})
    half: dict[str, Any] = {key: array.astype(np.float16) for key, array in arrays.items()}
    np.savez_compressed(folder / "arrays.npz", **half)

    objects: dict[str, Any] = {}
    for name, video in outcome.videos.items():
        frame = FixedMixtures([], reader, heard=(), seen=()).centre(video)
        picture = read_frame(video.frames, frame)
        found = most_confident(read_detections(video.detections, video.frame_count), frame, *picture.size)
        shutil.copyfile(frame_path(video.frames, frame), folder / f"{name}.jpg")
        objects[name] = {
            "video": video.name,
            "class": video.category,
            "role": "sounding" if name in SOUNDING else "silent",
            "frame": frame,
            "box": found and list(found.box),
            "confidence": found and found.confidence,
            "probability": {system: outcome.probabilities[system][name] for system in GROUNDED},
        }
        if name in SOUNDING:
            phrase = told.classes[video.category]
            objects[name]["phrase"] = phrase
            objects[name]["phrase_confidence"] = outcome.confidences[phrase]
            objects[name]["view"] = list(squared((0, 0, *picture.size), *picture.size))
    scores: dict[str, Any] = {system: {} for system in SYSTEMS}
    for row in rows:
        if row["role"] == "sounding":
            scores[row["system"]][row["object"]] = {metric: row[metric] for metric in SCORES}
    example = {"mixture": outcome.number, "objects": objects, "scores": scores}
    (folder / "example.json").write_text(json.dumps(example, indent=2) + "\n", encoding="utf-8")


def write_table(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def read_split(split: str, index: Path = Path("data/index")) -> list[Mixture]:
    return read_mixtures(index / f"{split}_sep.csv", read_index(index / f"{split}.csv"))


def read_clip(params: EvaluateParams) -> FrozenCLIP:
    return load_teacher(**asdict(params.clip)).to(params.device)


def main(params: EvaluateParams) -> None:
    seed_everything(params.seed)
    unet: dict[str, Any] = {
        "unet_levels": params.model.unet_levels,
        "unet_channels": params.model.unet_channels,
        "unet_max_channels": params.model.unet_max_channels,
        "embedding": params.model.embedding,
        "query_std": params.model.query_std,
    }
    ccol: dict[str, Any] = {"sound_channels": params.model.sound_channels, "head_std": params.model.head_std}
    networks: dict[str, Any] = {
        "baseline": SoundOfPixels(params.resnet.width, **unet),
        "colearning": CCoL(params.resnet.width, **unet, **ccol),
        "cyclic": CCoL(params.resnet.width, **unet, **ccol),
    }
    weights = {system: load_weights(f"checkpoints/{system}/best.safetensors") for system in (*networks, *ASKED)}
    for system in ASKED:
        captions = len(weights[system].get("captions", ()))
        size = params.vast.unet_levels, params.vast.unet_channels, params.clip.embedding
        networks[system] = VAST(captions, *size)
    for system, network in networks.items():
        load_into(network, weights[system], f"checkpoints/{system}/best.safetensors")
        network.to(params.device).eval()

    reader = ClipReader(
        rate=params.extract.rate,
        samples=params.audio.samples,
        fps=params.extract.fps,
        count=params.frames.count,
        stride=params.frames.stride,
        resize=params.frames.size,
        size=params.frames.size,
        square=params.frames.square,
    )
    whole = replace(reader, objects=params.baseline.frames == "objects")
    test, val = read_split("test"), FixedMixtures(read_split("val"), reader, heard=SOUNDING, seen=SOUNDING)
    val.mixtures = [mixture for mixture in val.mixtures if val.audible(mixture)]
    told = tell(
        read_clip(params),
        [*test, *val.mixtures],
        replace(
            reader,
            objects=False,
            count=params.vast.frames,
            stride=params.vast.stride,
            resize=params.clip.image_size,
            size=params.clip.image_size,
        ),
        params.vast.phrase,
        params.evaluate.synonyms,
        params.evaluate.unmatched,
    )
    threshold = calibrated_gate(
        present_confidences(
            networks["trimodal"],
            FixedMixtures(val.mixtures, reader, heard=SOUNDING, seen=()),
            told,
            masked=params.vast.masked,
            spectrogram=asdict(params.spectrogram),
            device=params.device,
            batch=params.evaluate.batch,
        ),
        params.evaluate.max_false_mutes,
    )
    if params.evaluate.gate is not None:
        gates = dict.fromkeys(GROUNDED, params.evaluate.gate)
    else:
        probabilities = sounding_probabilities(
            networks,
            val,
            spectrogram=asdict(params.spectrogram),
            device=params.device,
            batch=params.evaluate.batch,
        )
        gates = {s: calibrated_gate(p, params.evaluate.max_false_mutes) for s, p in probabilities.items()}
    ccol_sees = FixedMixtures(test, reader, heard=SOUNDING, seen=OBJECTS)
    outcomes = separate_all(
        networks,
        {
            "baseline": FixedMixtures(test, whole, heard=SOUNDING, seen=SOUNDING),
            "colearning": ccol_sees,
            "cyclic": ccol_sees,
        },
        told,
        masked=params.vast.masked,
        spectrogram=asdict(params.spectrogram),
        max_target=params.objective.max_target,
        device=params.device,
        batch=params.evaluate.batch,
    )
    examples = Path("metrics/examples.tmp")
    shutil.rmtree(examples, ignore_errors=True)
    examples.mkdir()
    table: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    skipped: list[tuple[int, str]] = []

    def kept(outcome: Outcome) -> tuple[Outcome, tuple[list[dict[str, Any]], str | None]]:
        return outcome, score(outcome, gates, told.synonyms)

    scored = joblib.Parallel(n_jobs=-1, return_as="generator")(joblib.delayed(kept)(outcome) for outcome in outcomes)
    for outcome, (rows, reason) in progress(scored, desc="evaluate", total=len(test), unit="mixture"):
        table.extend(rows)
        if rows:
            asked.extend(phrase_rows(outcome, told, threshold))
        if reason is not None:
            skipped.append((outcome.number, reason))
            logging.warning("mixture %d is skipped: %s", outcome.number, reason)
        elif outcome.number < params.evaluate.examples:
            write_example(examples / f"{outcome.number:03d}", outcome, rows, reader, told)
    if not table:
        raise InputError(f"none of {len(test)} test mixtures can be scored; the first: {skipped[0][1]}")

    columns = ["mixture", "system", "object", "role", "class", "video", "probability", "muted", *SCORES, "leakage_db"]
    pairs = pd.DataFrame(table, columns=columns).round(6)
    phrases = pd.DataFrame(asked).round(6)
    write_table(pairs, Path("metrics/pairs.csv"))
    write_table(phrases, Path("metrics/phrases.csv"))
    write_table(pd.DataFrame(skipped, columns=["mixture", "reason"]), Path("metrics/skipped.csv"))
    shutil.rmtree("metrics/examples", ignore_errors=True)
    examples.replace("metrics/examples")
    write_metrics(
        "evaluate",
        {
            **summarise(pairs),
            "phrases": {
                "threshold": threshold,
                **summarise_phrases(phrases),
                **summarise_synonyms(pairs),
            },
            "gates": gates,
            "pairs": {"evaluated": len(test) - len(skipped), "skipped": len(skipped)},
        },
    )


if __name__ == "__main__":
    run(main, EvaluateParams)
