"""Which systems are scored, on what, and what is kept of it for the report."""

import re
from collections.abc import Iterator

from avsep.params.sections import Params
from avsep.systems.catalogue import CONTROLS, GATE_CONTROLS, SCENE_CONTROLS, STAGES, SYSTEMS

# What else is a key of metrics/evaluate.json or metrics/evaluate_scenes.json, where each system is one.
OTHER_KEYS = re.compile(
    "gates|pairs|phrases|phrase_threshold|external|leaks|scenes|detection|(grounding|silent|published)(_.*)?"
)


def systems(p: Params) -> Iterator[str]:
    """Of both params that name some."""
    *others, last = map(repr, STAGES)
    for param, named in (("evaluate.systems", p.evaluate.systems), ("package.systems", p.package.systems)):
        for number, name in enumerate(named):
            if name not in STAGES:
                yield f"{param}.{number} is {name!r}: input should be {', '.join(others)} or {last}"
        if len(set(named)) < len(named):
            yield f"{param} is {named}: names a system twice"


def external(p: Params) -> Iterator[str]:
    own = {one.name for one in (*SYSTEMS, *CONTROLS, *GATE_CONTROLS, *SCENE_CONTROLS)} | set(STAGES)
    for name, folder in p.evaluate.external.items():
        if not re.fullmatch("[a-z0-9_]+", name):
            yield (
                f"evaluate.external names {name!r}: a row in tables and a file are called so, write it of a-z, 0-9 and"
                " _ alone"
            )
        elif name in own:
            yield f"evaluate.external.{name}: a system of ours has this name, give it another"
        elif OTHER_KEYS.fullmatch(name):
            yield f"evaluate.external.{name}: a metric of ours has this name, give it another"
        if not folder.strip():
            yield f"evaluate.external.{name} is {folder!r}: give the folder of its waves"


def sources(p: Params) -> Iterator[str]:
    if len(set(p.evaluate.sources)) < len(p.evaluate.sources):
        yield f"evaluate.sources is {p.evaluate.sources}: names a number twice"
    if p.videos.source == "demo" and max(p.evaluate.sources, default=0) > len(p.videos.classes):
        yield f"evaluate.sources is {p.evaluate.sources}: videos.classes has {len(p.videos.classes)}"


def players(p: Params) -> Iterator[str]:
    if p.videos.source == "demo" and p.scenes.players[1] >= len(p.videos.classes):
        yield (
            f"scenes.players is {p.scenes.players}: videos.classes has {len(p.videos.classes)}, and an instrument"
            " off the screen needs a class that is not on it"
        )
    if p.scenes.players[0] > p.scenes.players[1]:
        yield f"scenes.players is {p.scenes.players}: the lower end comes first"


def examples(p: Params) -> Iterator[str]:
    if p.report.mixtures > p.evaluate.examples:
        yield f"report.mixtures is {p.report.mixtures}: evaluate.examples keeps {p.evaluate.examples}"


CHECKS = (systems, external, sources, players, examples)
