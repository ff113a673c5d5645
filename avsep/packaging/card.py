"""The model card of a package, in the form of the Hugging Face hub: README.md with a front matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from avsep.packaging.folder import Measured, Package
from avsep.systems.catalogue import asked_of

ASKED = {"object": "by an object that is seen", "picture": "by a picture", "phrase": "in words"}
MEASURES = {  # of the scores, with their heads
    "nsdr": "NSDR",
    "si_sdri": "SI-SDRi",
    "leakage_db": "leakage (dB)",
    "false_mute_rate": "false mutes",
    "scenes_snri": "scenes: SNRi",
}
PAPERS = {
    "CCoL": "Tian, Hu, Xu: Cyclic Co-Learning of Sounding Object Visual Grounding and Sound Separation. CVPR 2021,"
    " arXiv:2104.02026",
    "VAST": "Tan and others: Language-Guided Audio-Visual Source Separation via Trimodal Consistency. CVPR 2023,"
    " arXiv:2303.16342",
    "Sound of Pixels": "Zhao and others: The Sound of Pixels. ECCV 2018",
}


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What the networks have learned from."""

    source: str  # videos.source
    videos: Mapping[str, int]  # split -> how many
    classes: Sequence[str]  # of the videos
    pretrained: str  # pretrained.source: of ResNet-18 and CLIP
    detector: str  # pretrained.detector


def card(package: Package, sizes: Mapping[str, int], learned: Learned) -> str:
    """The text. `sizes`: bytes of each file of weights."""
    front = {
        "license": "mit" if _own(learned) else "other",
        **({} if _own(learned) else {"license_name": "see-below"}),
        "library_name": "avsep",
        "pipeline_tag": "audio-to-audio",
        "tags": ["avsep", "audio-source-separation", "sound-separation", "audio-visual", "video", "music"],
    }
    rate = package.params["extract"]["rate"]
    seconds = package.params["audio"]["samples"] / rate
    phrases = any(entry.asked == "phrase" for entry in asked_of(package.systems))
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        "# The sounds of the objects in a video",
        "Finds the objects in a video, says which of them sound, and gives each its part of the sound"
        + (", or separates what is asked for in words." if phrases else "."),
        _use(phrases),
        "## What is in it",
        _files(package, sizes),
        f"Weights in {package.dtype}; the networks compute in float32. `config.json` holds the params, the gates (the"
        " probability below which an object is given silence) and the SHA-256 of each file; what does not match is"
        " refused. No code, no pickles.",
        "## What it learned from",
        _learned(package, learned),
        "## Scores",
        _scores(package),
        "## Limits",
        _limits(package, learned, rate, seconds),
        "## Licences",
        _licences(learned),
        "## Papers",
        "\n".join(f"- {PAPERS[method]}" for method in dict.fromkeys(_methods(package)) if method in PAPERS),
        f"Made by avsep {package.versions['avsep']} with torch {package.versions['torch']}.",
    ]
    return "\n\n".join(parts) + "\n"


def _own(learned: Learned) -> bool:
    """Whether all of it was made from nothing, by the code."""
    return (learned.source, learned.pretrained, learned.detector) == ("demo", "demo", "demo")


def _methods(package: Package) -> list[str]:
    return [str(entry.method) for entry in asked_of(package.systems) if entry.stage is not None]


def _use(phrases: bool) -> str:
    words = "avsep separate song.wav -o sounds --model FOLDER --text violin\n" if phrases else ""
    return (
        "```\navsep separate video.mp4 -o sounds --model FOLDER\n" + words + "```\n\n"
        "```python\n"
        "from avsep import Separator\n\n"
        'for sound in Separator.from_pretrained("FOLDER")("video.mp4"):\n'
        "    print(sound.name, sound.probability)\n"
        "```\n\n"
        "`FOLDER`: this folder, or its name on the hub, `owner/name`."
    )


def _files(package: Package, sizes: Mapping[str, int]) -> str:
    titles = {
        f"checkpoints/{stage}/best.safetensors": ", ".join(
            f"{entry.title} (`{entry.name}`, asked {ASKED[entry.asked]})"
            for entry in asked_of([stage])
            if entry.stage is not None
        )
        for stage in package.systems
    }
    titles |= {
        "checkpoints/pretrained/detector.safetensors": f"the detector: {', '.join(package.classes) or 'none'}",
        "checkpoints/pretrained/clip.safetensors": "CLIP, which sees and reads for VAST",
    }
    rows = [f"| `{name}` | {titles.get(name, '')} | {size / 1e6:.1f} |" for name, size in sizes.items()]
    total = f"| all | | {sum(sizes.values()) / 1e6:.1f} |"
    return "\n".join(["| file | | MB |", "| --- | --- | ---: |", *rows, total])


def _learned(package: Package, learned: Learned) -> str:
    counts = ", ".join(f"{count} {use}" for use, count in _uses(learned.videos))
    of = {
        "demo": "Videos that the code renders: one drawn musician each, playing notes of a General MIDI sound font.",
        "ids": "Videos of soloists, downloaded by a published list of ids.",
        "folder": "A folder of videos.",
        "imported": "Frames, sounds and detections that others have extracted.",
    }[learned.source]
    made = {"demo": "learned from rendered stills", "published": "are the published ones"}
    pretrained = made.get(learned.pretrained, f"are `{learned.pretrained}`")
    return (
        f"{of} {counts[:1].upper()}{counts[1:]}, of {len(learned.classes)} classes: {', '.join(learned.classes)}."
        f" ResNet-18 and CLIP {pretrained}; the detector is `{learned.detector}`."
    )


def _uses(videos: Mapping[str, int]) -> list[tuple[str, int]]:
    words = {"train": "train", "val": "validate", "test": "test"}
    return [(words[split], videos[split]) for split in words if split in videos]


def _scores(package: Package) -> str:
    scores = package.scores
    rows = []
    for entry in asked_of(package.systems):
        if entry.stage is not None and entry.name in scores.systems:
            own = scores.systems[entry.name]
            rows.append(f"| {entry.title} | " + " | ".join(_cell(own.get(name)) for name in MEASURES) + " |")
    if not rows:
        return "None were measured."
    head = [f"| | {' | '.join(MEASURES.values())} |", f"| --- |{' ---: |' * len(MEASURES)}"]
    scenes = (
        f" In {scores.scenes} scenes of several players, from the video alone, the gain in SNR."
        if scores.scenes
        else ""
    )
    return (
        "\n".join([*head, *rows])
        + f"\n\nMeans, with 95 % intervals over videos. On {scores.pairs} mixtures of test videos, two that sound"
        " beside two that do not: the gain over the mixture in dB (NSDR, SI-SDRi); what silent objects are given, re"
        " the mixture (leakage), and the share of sounding objects that are muted, under the gate of a system that has"
        " one." + scenes + ("" if package.dtype == "float32" else " Measured with the weights in float32.")
    )


def _cell(value: Measured | None) -> str:
    if value is None or value[0] is None:
        return "-"
    number, low, high = value
    if low is None or high is None:
        return f"{number:.2f}"
    return f"{number:.2f} ({low:.2f} to {high:.2f})"


def _limits(package: Package, learned: Learned, rate: int, seconds: float) -> str:
    limits = [
        f"It hears up to {rate / 2000:.1f} kHz, mono, at {rate} Hz, {seconds:.1f} s at once. Its masks are applied to"
        " the file's own rate and channels; above that a rule stands (`--extend`), which has learned nothing.",
        "Of one class one thing sounds in a training mixture: two violins are told apart by their places at best, in"
        " words not at all.",
        f"It knows {len(learned.classes)} classes; what else is seen or asked for is given something all the same.",
    ]
    if learned.source == "demo":
        limits.append(
            "It learned from drawn pictures and sampled instruments: on recorded videos the detector finds little, and"
            " the sounds are others. It shows how the method works, and is no tool for music."
        )
    if any(entry.asked != "object" for entry in asked_of(package.systems) if entry.stage is not None):
        limits.append("VAST does not say that something is silent: it has no gate.")
    return "\n".join(f"- {limit}" for limit in limits)


def _licences(learned: Learned) -> str:
    if _own(learned):
        return (
            "MIT, as the code. The training sounds were played from TimGM6mb, a sound font under the GPL, version 2; no"
            " part of it is in this folder."
        )
    given = []
    if learned.source != "demo":
        given.append("The weights learned from videos of others, whose rights hold: ask before you hand them on.")
    if learned.pretrained != "demo":
        given.append("ResNet-18 and CLIP, and what learned from them, stand under the licences of their authors.")
    if learned.detector != "demo":
        given.append("So does the detector.")
    return "The code is under the MIT licence. " + " ".join(given)
