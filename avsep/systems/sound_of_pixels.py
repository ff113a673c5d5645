"""Sound of Pixels (Zhao et al.; ECCV 2018): gives each object what it looks as if it sounded like, silent or not."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from avsep.models.sound_of_pixels import FrameMaps, SoundOfPixels
from avsep.systems.catalogue import Entry
from avsep.systems.system import Answer, HeardMixtures, Setup, Sight, System
from avsep.weights.about import refuse_other
from avsep.weights.checkpoints import load_into, load_weights
from avsep.weights.sound_of_pixels import SOUND_OF_PIXELS


class SoundOfPixelsSystem:
    def __init__(self, name: str, network: SoundOfPixels, sight: Sight) -> None:
        self.name, self.network, self.sight = name, network, sight

    def prepare(self, pictures: Tensor, phrase: str) -> FrameMaps:
        return self.network.frames(pictures)

    def answer(self, heard: HeardMixtures, asked: Mapping[str, FrameMaps]) -> Answer:
        return Answer(masks=self.network.let_through(self.network.separate(heard.mixture, asked)))


def load(entries: Sequence[Entry], setup: Setup) -> Iterator[System]:
    """With the best weights of their stages. Raises InputError."""
    for entry in entries:
        path = setup.root / f"checkpoints/{entry.stage}/best.safetensors"
        network = SoundOfPixels(**refuse_other(path, SOUND_OF_PIXELS, setup.params, str(entry.stage)).keywords)
        load_into(network, load_weights(path), path)
        sight = Sight(
            *(str(entry.stage), setup.baseline_fps, setup.baseline_frames, setup.baseline_stride, setup.size),
            square=setup.square,
            whole=True,
        )
        yield SoundOfPixelsSystem(entry.name, network.to(setup.device).eval().requires_grad_(False), sight)
