"""References, made from the truth: what nothing gives, and what a mask can give.

- `mixture`: the mixture itself, not separated;
- `oracle`: the ideal ratio mask, with the mixture's phase;
- `oracle_binary`: the ideal binary mask, each bin to the source that is loudest there (Wang, Springer 2005).

They answer for the sounds that are mixed, `heard.solo`: a silent object has none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from avsep.systems.catalogue import Entry
from avsep.systems.system import Answer, HeardMixtures, Setup, Sight, System


class _Reference:
    """Needs no more than the truth: neither pictures nor words."""

    sight: Sight | None = None

    def __init__(self, name: str, max_target: float) -> None:
        self.name, self.max_target = name, max_target

    def prepare(self, pictures: Tensor, phrase: str) -> Any:
        return ()


class MixtureItself(_Reference):
    def answer(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Answer:
        return Answer(waves=dict.fromkeys(heard.solo, heard.wave))


class RatioMask(_Reference):
    def answer(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Answer:
        return Answer(masks={name: heard.target(name, self.max_target) for name in heard.solo})


class BinaryMask(_Reference):
    def answer(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Answer:
        loudest = torch.stack(list(heard.solo.values())).argmax(0)
        return Answer(masks={name: (loudest == source).float() for source, name in enumerate(heard.solo)})


_KINDS: dict[str, type[MixtureItself] | type[RatioMask] | type[BinaryMask]] = {
    "mixture": MixtureItself,
    "oracle": RatioMask,
    "oracle_binary": BinaryMask,
}


def load(entries: Sequence[Entry], setup: Setup) -> Iterator[System]:
    for entry in entries:
        yield _KINDS[entry.name](entry.name, setup.max_target)
