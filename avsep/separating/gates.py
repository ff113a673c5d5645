"""The gates: the probabilities below which an object is given silence, as stage evaluate has calibrated them."""

import json
from collections.abc import Collection
from pathlib import Path

from avsep.errors import InputError
from avsep.systems.catalogue import Entry, arranged


def read_gates(systems: Collection[str], path: Path = Path("metrics/evaluate.json")) -> dict[str, float]:
    """The gates that stage evaluate has calibrated, of those of `systems` that ground. Raises InputError."""
    grounded = [entry.name for entry in arranged(systems) if isinstance(entry, Entry) and entry.grounds]
    if not grounded:
        return {}
    try:
        gates = json.loads(path.read_text(encoding="utf-8"))["gates"]
        return {system: float(gates[system]) for system in grounded}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} tells no gates of {' and '.join(grounded)} ({error!r}): run stage evaluate") from None
