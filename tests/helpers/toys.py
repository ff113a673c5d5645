"""Systems that none of ours is like, by fixed rules: they give waves and no masks, or silence by themselves."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avsep.systems.system import Answer, HeardMixtures, Probability, Sight


class Waves:
    """Gives each object its share of the mixture's wave: masks there are none."""

    sight: Sight | None = None

    def __init__(self, name: str = "waves", share: float = 0.5) -> None:
        self.name, self.share = name, share

    def prepare(self, pictures: Tensor, phrase: str) -> Any:
        return ()

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Answer:
        return Answer(waves={name: self.share * heard.wave for name in asked})


class Silent(Waves):
    """Says that the objects of one phrase do not sound, and gives them silence; of all others it is sure.

    `says`: how probable it is to it that they sound.
    """

    def __init__(self, phrase: str, name: str = "silent", says: float = 0.0) -> None:
        super().__init__(name)
        self.phrase, self.says = phrase, says

    def prepare(self, pictures: Tensor, phrase: str) -> Tensor:
        return torch.tensor(0.0 if phrase == self.phrase else 1.0)

    def ground(self, heard: HeardMixtures, asked: Mapping[str, Tensor]) -> Probability:
        return lambda sound, name: asked[name].clamp_min(self.says)

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Tensor]) -> Answer:
        waves = {name: self.share * sounds[:, None] * heard.wave for name, sounds in asked.items()}
        return Answer(waves=waves, probability=self.ground(heard, asked))
