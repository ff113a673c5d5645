"""CCoL's separation alone: what it learns without gates, and without a thought of silent objects."""

from collections.abc import Mapping

from torch import Tensor, nn

from avsep.models.ccol import Separation, start_queries
from avsep.models.resnet import FrameFeatures, FrozenFrames


class Ungated(nn.Module):
    """On the same frozen frames as CCoL (docs/ccol.md, Networks)."""

    def __init__(
        self,
        resnet_width: int = 64,
        unet_levels: int = 7,
        unet_channels: int = 64,
        unet_max_channels: int = 512,
        embedding: int = 32,
        query_std: float | None = None,
        batch_statistics: bool = False,
    ):
        super().__init__()
        self.frames = FrozenFrames(resnet_width, batch_statistics, standardise=query_std is not None)
        self.separation = Separation(8 * resnet_width, unet_levels, unet_channels, unet_max_channels, embedding)
        self.query_std = query_std

    def start(self, pictures: Tensor) -> None:
        """Shows new networks training pictures (B, 3, H, W), see `start_queries`; without query_std nothing is done."""
        if self.query_std is not None:
            start_queries(self.frames, self.separation, pictures, self.query_std)

    def separate(self, log_mixture: Tensor, seen: Mapping[str, FrameFeatures]) -> dict[str, Tensor]:
        """Mixture (B, 1, F, T) -> each object's mask (B, 1, F, T)."""
        return self.separation(log_mixture, {name: features.map for name, features in seen.items()})
