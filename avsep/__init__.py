"""What the stages share, in the order a clip passes through; `from avsep import Separator` is its front door."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avsep.separate import Separator

__all__ = ["Separator"]


def __getattr__(name: str) -> Any:
    if name == "Separator":  # not before it is asked for: it brings torch and all networks with it
        from avsep.separate import Separator

        return Separator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
