"""What is kept of a scene to look at and to listen to, in a folder of its own.

`frame.jpg`, its middle frame; `mixture.wav`; `<stem>.wav` as in the scene's truth, at the networks' rate;
`object_<number>_<system>.wav` of each object and each system that was asked; and `example.json`:
- `scene`, `kind`; `frame`: the middle one, from 1;
- `players`: each with `class`, `stem` (null: it does not play), `box` in that frame, `object` (null: it was missed);
- `others`: each with `what`, `class`, `stem`;
- `objects`: each with `class`, `confidence`, `box` in that frame, `player` (null: a false one), and by system
  `probability` (its mean over the windows) and `muted` (the share of the windows).
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from avsep.media.wav import write_wav
from avsep.scenes.scoring import Scene
from avsep.separating.tracks import Object
from avsep.separating.windows import Given


def write_example(
    folder: Path,
    scene: Scene,
    frames: Sequence[Image.Image],
    fps: int,
    rate: int,
    objects: Sequence[Object],
    categories: Sequence[str],
    matched: Mapping[int, int],
    given: Mapping[str, Given],
) -> None:
    """Writes the folder anew. `frames` are `fps` a second; `categories`: the objects' classes; `matched`: player ->
    object."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    middle, truth = len(frames) // 2, scene.truth
    frames[middle].save(folder / "frame.jpg", quality=90)
    write_wav(folder / "mixture.wav", scene.mixture, rate)
    for stem, wave in scene.stems.items():
        write_wav(folder / stem, wave, rate)
    for system, own in given.items():
        for number, wave in enumerate(own.waves.numpy()):
            write_wav(folder / f"object_{number}_{system}.wav", wave, rate)
    players = {number: player for player, number in matched.items()}
    boxes = truth.boxes_at(len(frames), fps)[:, middle]
    example = {
        "scene": truth.name,
        "kind": truth.kind,
        "frame": middle + 1,
        "players": [
            {"class": player.category, "stem": player.stem, "box": box, "object": matched.get(number)}
            for number, (player, box) in enumerate(zip(truth.players, boxes.tolist(), strict=True))
        ],
        "others": [{"what": other.what, "class": other.category, "stem": other.stem} for other in truth.others],
        "objects": [
            {
                "class": categories[number],
                "confidence": one.confidence,
                "box": one.boxes[middle],
                "player": players.get(number),
                **_said(given, number),
            }
            for number, one in enumerate(objects)
        ],
    }
    (folder / "example.json").write_text(json.dumps(example, indent=2) + "\n", encoding="utf-8")


def _said(given: Mapping[str, Given], number: int) -> dict[str, dict[str, float]]:
    """What the systems that ground say of an object."""
    said: dict[str, dict[str, float]] = {"probability": {}, "muted": {}}
    for system, own in given.items():
        probabilities, muted = own.probabilities, own.muted
        if probabilities is not None and muted is not None:
            said["probability"][system] = float(probabilities[number].mean())
            said["muted"][system] = float(muted[number].double().mean())
    return said
