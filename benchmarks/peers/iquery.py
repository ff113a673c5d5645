"""iQuery, asked by picture and class.  Not run here: its weights were not at hand.

    python -m benchmarks.peers.iquery QUESTIONS ANSWERS --code /path/to/iQuery/code --weights FOLDER

Chen et al.: iQuery, instruments as queries for audio-visual sound separation, CVPR 2023.  In the environment of
github.com/JiabenChen/iQuery; FOLDER holds what its main_nomotion.py saves, sound_best.pth, frame_best.pth and
maskformer_best.pth.  Written against that script, with the sizes of
scripts/train_nomotion.sh: the model without motion, since the questions hold one frame of an object.  Its files are
pickles: load only such as you trust.

It knows MUSIC's eleven classes, 65535 samples at 11025 Hz, and sees the crop of the box.  A longer mixture is cut into
such windows, faded into each other.  What sounds it does not say; an object of another class is given silence.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.answers import Answers, Mixture, Wave, as_long, at_rate, write_answers

CLASSES = (
    *("accordion", "acoustic_guitar", "cello", "clarinet", "erhu", "flute", "saxophone", "trumpet", "tuba", "violin"),
    "xylophone",
)  # the places of its queries
RATE, SAMPLES = 11025, 65535
N_FFT, HOP, BINS, SIZE = 1022, 256, 256, 224


def starts(length: int) -> list[int]:
    """Of windows that overlap by half or more."""
    last = max(0, length - SAMPLES)
    count = -(-last // (SAMPLES // 2))
    return [round(last * step / max(1, count)) for step in range(count + 1)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.iquery", description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--code", type=Path, required=True, help="the folder `code` of a clone")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    own = parser.parse_args(arguments)

    import librosa
    import torch
    from PIL import Image
    from torch.nn.functional import grid_sample
    from torchvision import transforms

    sys.path.insert(0, str(own.code))  # before this repository, whose networks lie in a folder `models` too
    model_builder: Any = import_module("models").ModelBuilder
    warpgrid: Any = import_module("utils").warpgrid

    builder = model_builder()
    sound = builder.build_sound(fc_dim=32, weights=str(own.weights / "sound_best.pth"))
    frame = builder.build_frame(
        arch="resnet18dilated", fc_dim=32, pool_type="maxpool", weights=str(own.weights / "frame_best.pth")
    )
    predictor = builder.build_maskformer(
        in_channels=256,
        hidden_dim=256,
        num_queries=12,
        nheads=8,
        dropout=0.0,
        dim_feedforward=1024,
        enc_layers=1,
        dec_layers=4,
        mask_dim=32,
        weights=str(own.weights / "maskformer_best.pth"),
    )
    networks = [network.eval().to(own.device) for network in (sound, frame, predictor)]
    sound, frame, predictor = networks
    see = transforms.Compose(
        [
            transforms.Resize(SIZE, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(SIZE),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    @torch.no_grad()
    def separate(wave: Wave, seen: torch.Tensor, place: int) -> Wave:
        """One window, (SAMPLES,)."""
        spectrum = librosa.stft(np.asarray(wave, np.float32), n_fft=N_FFT, hop_length=HOP)
        magnitude = torch.from_numpy(np.abs(spectrum))[None, None].to(own.device) + 1e-10  # (1, 1, F, T)
        columns = magnitude.shape[-1]
        warp, back = (
            torch.from_numpy(warpgrid(1, bins, columns, warp=warped)).to(own.device)
            for bins, warped in ((BINS, True), (N_FFT // 2 + 1, False))
        )
        heard, latent = sound(grid_sample(magnitude, warp).log1p())
        mask = predictor(latent, heard, torch.tensor([place]), torch.sigmoid(frame.forward_multiframe(seen)))
        linear = grid_sample(torch.sigmoid(mask), back)[0, 0].cpu().numpy()
        return librosa.istft(spectrum * linear, hop_length=HOP, length=SAMPLES)

    def answer(mixture: Mixture) -> Answers:
        wave = at_rate(mixture.wave, mixture.rate, RATE)
        fade = np.hanning(SAMPLES + 2)[1:-1]
        given: dict[str, Wave | None] = {}
        for one in mixture.objects:
            given[one.name] = None
            if one.category in CLASSES:
                picture = Image.open(one.picture).convert("RGB")
                crop = picture if one.box is None else picture.crop(one.box)
                seen = see(crop)[None, :, None].to(own.device)  # (1, 3, T=1, H, W)
                total = np.zeros((2, max(len(wave), SAMPLES)))
                for start in starts(len(wave)):
                    part = as_long(wave[start : start + SAMPLES], SAMPLES)
                    found = separate(part, seen, CLASSES.index(one.category))
                    total[:, start : start + SAMPLES] += fade * found, fade
                given[one.name] = at_rate((total[0] / total[1])[: len(wave)], RATE, mixture.rate)
        return given

    print(f"{own.answers}: {write_answers(own.questions, own.answers, answer)} mixtures")


if __name__ == "__main__":
    main()
