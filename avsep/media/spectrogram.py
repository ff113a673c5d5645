"""Wave <-> short-time Fourier transform <-> log-frequency magnitudes and masks (docs/ccol.md, One training sample).

Waves (..., L) at the pipeline's rate; spectrograms (..., F, T) with F = n_fft / 2 + 1 linear or `log_bins`
logarithmic bins and T = L // hop + 1 frames, Hann window, centred.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Spectrogram:
    """How sound becomes what the networks hear, and masks become sound again (conf/config.yaml, spectrogram)."""

    n_fft: int
    hop: int
    log_bins: int
    align_corners: bool

    def let_through(self, masks: Tensor, mixture: Tensor) -> Tensor:
        """What log-frequency masks (..., F', T) let through of mixture waves (..., L): (..., L)."""
        return apply_masks(masks, mixture, self.n_fft, self.hop, self.align_corners)


def stft(waves: Tensor, n_fft: int, hop: int) -> Tensor:
    """Waves (..., L) -> complex spectrograms (..., F, T)."""
    flat = waves.reshape(-1, waves.shape[-1])
    window = torch.hann_window(n_fft, device=waves.device)
    spectra = torch.stft(flat, n_fft, hop, window=window, center=True, return_complex=True)
    return spectra.reshape(*waves.shape[:-1], *spectra.shape[-2:])


def magnitude(spectra: Tensor) -> Tensor:
    """|spectra|. PyTorch's abs of complex numbers guards against overflow, at more than twice the time."""
    return (spectra.real.square() + spectra.imag.square()).sqrt()


def istft(spectra: Tensor, n_fft: int, hop: int, samples: int) -> Tensor:
    """Complex spectrograms (..., F, T) -> waves (..., samples)."""
    flat = spectra.reshape(-1, *spectra.shape[-2:])
    window = torch.hann_window(n_fft, device=spectra.device)
    waves = torch.istft(flat, n_fft, hop, window=window, center=True, length=samples)
    return waves.reshape(*spectra.shape[:-2], samples)


def warp_grid(bins: int, frames: int) -> Tensor:
    """Where row y in [-1, 1] of a log-frequency spectrogram reads the linear one: (bins, frames, 2) of (x, y)."""
    y = torch.linspace(-1, 1, bins, dtype=torch.float64)
    return _grid((21 ** ((y + 1) / 2) - 11) / 10, frames)


def unwarp_grid(bins: int, frames: int) -> Tensor:
    """The way back: where row y of a linear spectrogram reads the log-frequency one: (bins, frames, 2)."""
    y = torch.linspace(-1, 1, bins, dtype=torch.float64)
    return _grid(2 * torch.log(10 * y + 11) / math.log(21) - 1, frames)


def _grid(rows: Tensor, frames: int) -> Tensor:
    x = torch.linspace(-1, 1, frames, dtype=torch.float64)
    return torch.stack([x.expand(len(rows), -1), rows.unsqueeze(1).expand(-1, frames)], dim=-1).float()


def warp(magnitudes: Tensor, bins: int, align_corners: bool) -> Tensor:
    """Linear magnitudes (..., F, T) -> log-frequency ones (..., bins, T), bilinear."""
    return _sample(magnitudes, warp_grid(bins, magnitudes.shape[-1]), align_corners)


def unwarp(masks: Tensor, bins: int, align_corners: bool) -> Tensor:
    """Log-frequency masks (..., F', T) -> linear ones (..., bins, T), bilinear."""
    return _sample(masks, unwarp_grid(bins, masks.shape[-1]), align_corners)


def _sample(values: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
    """Each (F, T) plane of values (..., F, T) at the grid's points. The planes go as one batch of channels."""
    planes = values.reshape(1, -1, *values.shape[-2:])
    sampled = functional.grid_sample(planes, grid[None].to(values), align_corners=align_corners)
    return sampled.reshape(*values.shape[:-2], *grid.shape[:2])


def apply_masks(masks: Tensor, mixture: Tensor, n_fft: int, hop: int, align_corners: bool) -> Tensor:
    """Log-frequency masks (..., F', T) on mixture waves (..., L) -> the waves (..., L) they let through.

    The estimate has the mixture's phase.
    """
    spectrum = stft(mixture, n_fft, hop)
    linear = unwarp(masks, spectrum.shape[-2], align_corners)
    return istft(linear * spectrum, n_fft, hop, mixture.shape[-1])
