"""The systems that there are, each loaded by the file of this folder that the catalogue names."""

from collections.abc import Collection
from importlib import import_module

from avsep.systems import catalogue
from avsep.systems.catalogue import Entry
from avsep.systems.system import Setup, System


def load_systems(stages: Collection[str], setup: Setup) -> dict[str, System]:
    """Name -> system, in the order of every table: the references, those that take the weights of `stages`, and the
    external ones of `setup`.

    A module's `load(entries, setup)` makes all of its systems, so that they may share networks.  Raises InputError for
    weights that are missing or do not fit, and for others' waves that cannot be scored.
    """
    entries = catalogue.asked_of(stages, setup.external)
    by_module: dict[str, list[Entry]] = {}
    for entry in entries:
        by_module.setdefault(entry.module, []).append(entry)
    loaded = {
        system.name: system
        for module, own in by_module.items()
        for system in import_module(f"avsep.systems.{module}").load(own, setup)
    }
    return {entry.name: loaded[entry.name] for entry in entries}
