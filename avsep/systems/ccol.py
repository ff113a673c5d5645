"""CCoL (Tian, Hu, Xu; CVPR 2021): sees an object, says whether it sounds, and gives it its part of the mixture."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from avsep.systems.catalogue import Entry
from avsep.systems.system import Answer, HeardMixtures, Probability, Setup, Sight, System
from avsep.weights.checkpoints import load_into, load_weights
from models.ccol import CCoL
from models.resnet import FrameFeatures


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
    """With the best weights of their stages. Raises InputError."""
    for entry in entries:
        path = setup.root / f"checkpoints/{entry.stage}/best.safetensors"
        weights = load_weights(path)
        network = CCoL(
            setup.resnet_width,
            sound_channels=setup.sound_channels,
            head_std=setup.head_std,
            unet_levels=setup.unet_levels,
            unet_channels=setup.unet_channels,
            unet_max_channels=setup.unet_max_channels,
            embedding=setup.embedding,
            query_std=setup.query_std,
            # in the published weights each of the frame encoders has a trunk of its own
            shared_trunk=not any(name.startswith("frames.trunk_dilated.") for name in weights),
        )
        load_into(network, weights, path)
        sight = Sight(str(entry.stage), setup.fps, setup.frames, setup.stride, setup.size, setup.square, whole=False)
        yield CCoLSystem(entry.name, network.to(setup.device).eval(), sight)
