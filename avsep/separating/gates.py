"""The gates: the probabilities below which an object is given silence, as stage evaluate has calibrated them."""

import math
from collections.abc import Collection
from pathlib import Path

from avsep.files.reading import read_json, refusing
from avsep.systems.catalogue import Entry, arranged


def read_gates(systems: Collection[str], path: Path = Path("metrics/evaluate.json")) -> dict[str, float]:
    """The gates that stage evaluate has calibrated, of those of `systems` that ground. Raises InputError."""
    grounded = [entry.name for entry in arranged(systems) if isinstance(entry, Entry) and entry.grounds]
    if not grounded:
        return {}
    told = read_json(path, "run stage evaluate")
    with refusing(f"{path} tells no gates of {' and '.join(grounded)}", "run stage evaluate"):
        gates = {system: float(told["gates"][system]) for system in grounded}
        if not all(map(math.isfinite, gates.values())):
            raise ValueError("one is no finite number")
        return gates
