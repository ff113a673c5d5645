"""CCoL (Tian, Hu, Xu; CVPR 2021): sees an object, says whether it sounds, and gives it its part of the mixture."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.systems.catalogue import Entry
from avsep.systems.system import Answer, HeardMixtures, Probability, Setup, Sight, System
from avsep.weights.about import refuse_other
from avsep.weights.ccol import CCOL, with_twins
from avsep.weights.checkpoints import load_into, load_weights


class CCoLSystem:
    def __init__(self, name: str, network: CCoL, sight: Sight) -> None:
        self.name, self.network, self.sight = name, network, sight

    def prepare(self, pictures: Tensor, phrase: str) -> FrameFeatures:
        return self.network.frames(pictures)

    def ground(self, heard: HeardMixtures, asked: Mapping[str, FrameFeatures]) -> Probability:
        return self.network.ground(heard.log_sounds, asked).probability

    def answer(self, heard: HeardMixtures, asked: Mapping[str, FrameFeatures]) -> Answer:
        masks = self.network.separate(heard.log_mixture, asked)
        return Answer(masks=masks, probability=self.ground(heard, asked))


def load(entries: Sequence[Entry], setup: Setup) -> Iterator[System]:
    """With the best weights of their stages; of other params they are refused. Raises InputError."""
    for entry in entries:
        path = setup.root / f"checkpoints/{entry.stage}/best.safetensors"
        # in the published weights each of the frame encoders has a trunk of its own: the file tells
        network = CCoL(**refuse_other(path, CCOL, setup.params, str(entry.stage)).keywords)
        load_into(network, with_twins(load_weights(path)), path)
        sight = Sight(str(entry.stage), setup.fps, setup.frames, setup.stride, setup.size, setup.square, whole=False)
        yield CCoLSystem(entry.name, network.to(setup.device).eval(), sight)
