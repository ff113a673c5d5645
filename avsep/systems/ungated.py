"""CCoL's separation alone, without gates: gives each object its part of the mixture; it grounds none.

It sees the crops that CCoL sees, or whole frames (ungated.sees).
"""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from avsep.models.resnet import FrameFeatures
from avsep.models.ungated import Ungated
from avsep.systems.catalogue import Entry
from avsep.systems.system import Answer, HeardMixtures, Setup, Sight, System
from avsep.weights.about import refuse_other
from avsep.weights.checkpoints import load_into, load_weights
from avsep.weights.ungated import UNGATED


class UngatedSystem:
    def __init__(self, name: str, network: Ungated, sight: Sight) -> None:
        self.name, self.network, self.sight = name, network, sight

    def prepare(self, pictures: Tensor, phrase: str) -> FrameFeatures:
        return self.network.frames(pictures)

    def answer(self, heard: HeardMixtures, asked: Mapping[str, FrameFeatures]) -> Answer:
        return Answer(masks=self.network.separate(heard.log_mixture, asked))


def load(entries: Sequence[Entry], setup: Setup) -> Iterator[System]:
    """With the best weights of their stages. Raises InputError."""
    for entry in entries:
        path = setup.root / f"checkpoints/{entry.stage}/best.safetensors"
        network = Ungated(**refuse_other(path, UNGATED, setup.params, str(entry.stage)).keywords)
        load_into(network, load_weights(path), path)
        sight = Sight(
            *(str(entry.stage), setup.fps, setup.frames, setup.stride, setup.size, setup.square),
            whole=setup.ungated_whole,
        )
        yield UngatedSystem(entry.name, network.to(setup.device).eval(), sight)
