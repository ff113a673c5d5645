"""The spectrogram, and the U-Nets that halve it level by level."""

from collections.abc import Iterator

from avsep.params.sections import Params


def window(p: Params) -> Iterator[str]:
    if p.audio.samples < p.spectrogram.n_fft:
        yield f"audio.samples is {p.audio.samples}: shorter than spectrogram.n_fft, {p.spectrogram.n_fft}"


def hop(p: Params) -> Iterator[str]:
    if p.spectrogram.hop > p.spectrogram.n_fft // 2:
        yield f"spectrogram.hop is {p.spectrogram.hop}: more than half of n_fft cannot be inverted"


def unet_levels(p: Params) -> Iterator[str]:
    columns = p.audio.samples // p.spectrogram.hop + 1
    for name, levels in (("model", p.model.unet_levels), ("vast", p.vast.unet_levels)):
        steps = 2**levels
        if p.spectrogram.log_bins % steps or columns % steps:
            yield (
                f"{name}.unet_levels is {levels}: it needs spectrogram.log_bins ({p.spectrogram.log_bins})"
                f" and frames (audio.samples // spectrogram.hop + 1 = {columns}) that are multiples of {steps}"
            )


def unet_channels(p: Params) -> Iterator[str]:
    innermost = p.vast.unet_channels * 2 ** (p.vast.unet_levels - 1)
    if innermost < p.clip.embedding:
        yield (
            f"vast.unet_channels is {p.vast.unet_channels}: with {p.vast.unet_levels} levels it grows to {innermost},"
            f" and must reach clip.embedding, {p.clip.embedding}"
        )


CHECKS = (window, hop, unet_levels, unet_channels)
