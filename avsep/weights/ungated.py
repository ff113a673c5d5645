"""What the weights of CCoL's separation alone tell of themselves (avsep/weights/about.py)."""

from avsep.weights.about import HEARD, Kind
from avsep.weights.ccol import SEEN, SEPARATION

UNGATED = Kind(
    system="ungated",
    sizes={**SEPARATION, "query_std": "model.query_std"},
    params=(*HEARD, *SEEN, "ungated.sees"),
)
