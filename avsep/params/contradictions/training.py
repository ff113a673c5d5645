"""How the networks are trained: terms of the objectives, batches, loudness and learning rates."""

from collections.abc import Iterator

from avsep.params.sections import Params
from avsep.systems.catalogue import TRAINING


def as_published(p: Params) -> Iterator[str]:
    if p.objective.symmetric and p.objective.as_published:
        yield "objective.symmetric is true: objective.as_published takes the terms as they are written"
    if p.objective.gates != "each" and p.objective.as_published:
        yield f"objective.gates is {p.objective.gates}: objective.as_published gives each object its own"
    if p.objective.told != "published" and p.objective.as_published:
        yield f"objective.told is {p.objective.told}: objective.as_published takes the terms as they are written"
    if p.model.query_std is not None and p.objective.as_published:
        yield "model.query_std is set: objective.as_published moves the batch norm that it relies on"


def batches(p: Params) -> Iterator[str]:
    """Each process takes the same share of a batch."""
    processes = p.train.devices * p.train.nodes
    for name, batch in (
        ("train.batch", p.train.batch),
        ("baseline.batch", p.baseline.batch),
        ("vast.batch", p.vast.batch),
    ):
        if batch % processes:
            yield f"{name} is {batch}: no multiple of train.devices x train.nodes, {processes}"


def gain(p: Params) -> Iterator[str]:
    if p.train.gain[0] > p.train.gain[1]:
        yield f"train.gain is {p.train.gain}: the lower end comes first"


def milestones(p: Params) -> Iterator[str]:
    for name in (stage.name for stage in TRAINING):
        own, epochs = getattr(p, name).milestones, getattr(p, name).epochs
        if own != sorted(set(own)):
            yield f"{name}.milestones is {own}: not rising"
        if own and own[-1] >= epochs:
            yield f"{name}.milestones is {own}: {name}.epochs ends at {epochs}"


def schedule(p: Params) -> Iterator[str]:
    for name in (stage.name for stage in TRAINING):
        own, kind = getattr(p, name).milestones, getattr(p, name).schedule
        if own and kind != "milestones":
            yield f"{name}.milestones is {own}: {name}.schedule {kind} has none, give []"


CHECKS = (as_published, batches, gain, milestones, schedule)
