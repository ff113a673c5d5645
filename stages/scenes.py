"""Stage scenes: data/scenes, a second test set: several players in one picture, of whom some do not play.

They are rendered in the demo's world (avsep/scenes/rendering.py), with what is true of them beside them, and so go with
`videos.source` demo alone.  With any other source the stage makes an empty set, and stage evaluate_scenes an empty
table: networks that were trained on your videos have nothing to tell of drawn instruments.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from avsep.demo.sound import PARTS
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.parallel import spread
from avsep.params.stages import ScenesParams
from avsep.run import run
from avsep.scenes.files import Truth
from avsep.scenes.rendering import KINDS, render_scene

SCENES = Path("data/scenes")


def main(params: ScenesParams) -> None:
    scenes: list[Truth] = []
    if params.videos.source == "demo":
        scenes = render(
            params.videos.classes,
            params.scenes.per_kind,
            seed=params.seed,
            players=params.scenes.players,
            seconds=params.scenes.seconds,
            timbre=params.videos.timbre,
            fps=params.videos.fps,
            width=params.scenes.width,
            height=params.scenes.height,
            apart_db=params.scenes.apart_db,
            noise_db=params.scenes.noise_db,
        )
    else:
        _empty()
    write_metrics("scenes", summary(scenes))


def render(classes: Sequence[str], per_kind: int, **settings: object) -> list[Truth]:
    """Renders `per_kind` scenes of each kind into data/scenes, in parallel; `settings` are render_scene's.

    Raises InputError for a class that has no shape.
    """
    if unknown := sorted(set(classes) - set(PARTS)):
        raise InputError(f"videos.classes names {', '.join(unknown)}: the demo has {', '.join(PARTS)}")
    _empty()
    work = partial(_render_one, SCENES.absolute(), {"classes": classes, **settings})
    calls = [(kind, index) for kind in KINDS for index in range(per_kind)]
    return list(spread(work, calls, desc="rendering", unit="scene"))


def _render_one(folder: Path, settings: Mapping[str, Any], call: tuple[str, int]) -> Truth:
    return render_scene(folder, *call, **settings)


def summary(scenes: Sequence[Truth]) -> dict[str, object]:
    """Counts for metrics/scenes.json."""
    players = [player for scene in scenes for player in scene.players]
    return {
        "scenes": len(scenes),
        "seconds": round(sum(scene.seconds for scene in scenes), 3),
        "kinds": dict(Counter(scene.kind for scene in scenes)),
        "players": len(players),
        "playing": sum(player.playing for player in players),
    }


def _empty() -> None:
    """data/scenes without anything of an earlier run."""
    shutil.rmtree(SCENES, ignore_errors=True)
    SCENES.mkdir(parents=True)


if __name__ == "__main__":
    run(main, ScenesParams)
