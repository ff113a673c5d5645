"""Supervised non-negative matrix factorisation, asked for the class of each object.

    python -m benchmarks.peers.nmf QUESTIONS ANSWERS [--data data]

Smaragdis, Raj, Shashanka: Supervised and semi-supervised separation of sounds from single-channel mixtures, ICA 2007,
as a factorisation by the generalised Kullback-Leibler divergence (Lee and Seung, NIPS 2000).  Each class's dictionary
W_c is learned from the magnitudes of its training videos' sound, |X| ~ W_c H.  A mixture is taken to be what the
classes in sight can make of it, |X| ~ sum_c W_c H_c with all W_c fixed, and class c is given the share
W_c H_c / sum W H of each bin.

A class whose share of the energy lies below a gate does not sound.  The gate is calibrated as our systems' are: the
highest that mutes at most --max-false-mutes (as evaluate.max_false_mutes) of what sounds in validation's mixtures.
Two objects of one class are given the same; a class that has no training video, nothing.

The factorisation is librosa's and scikit-learn's.  It sees no picture, and is told the classes by name.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray
from sklearn.decomposition import NMF

from avsep.clips.index import OBJECTS, SOUNDING, Video, read_index, read_mixtures
from avsep.scoring.grounding import calibrated_gate
from benchmarks.peers.answers import Answers, Mixture, Wave, read_questions, write_answers

COMPONENTS = 24  # of each class's dictionary
FRAMES = 3000  # of a class's training sound, drawn from all of its videos
ITERATIONS = 200
N_FFT, HOP = 1024, 256

Array = NDArray[np.float32]
Dictionaries = Mapping[str, Array]  # class -> (COMPONENTS, F)


def spectrum(wave: Wave) -> NDArray[np.complex64]:
    """(L,) -> (F, T)"""
    found: NDArray[np.complex64] = librosa.stft(np.asarray(wave, np.float32), n_fft=N_FFT, hop_length=HOP)
    return found


def model(components: int, seed: int) -> NMF:
    return NMF(
        components,
        init="random",
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=ITERATIONS,
        tol=0,  # all of them
        random_state=seed,
    )


def learn(videos: Iterable[Video], seed: int) -> dict[str, Array]:
    """Each class's dictionary: rows of magnitudes that sum to 1."""
    magnitudes: dict[str, list[Array]] = {}
    for video in sorted(videos):
        wave, _ = soundfile.read(video.audio, dtype="float32")
        magnitudes.setdefault(video.category, []).append(np.abs(spectrum(wave)))
    random = np.random.default_rng([seed])
    learned = {}
    for category, own in sorted(magnitudes.items()):
        frames = np.concatenate(own, axis=1)  # (F, T)
        frames = frames[:, np.sort(random.permutation(frames.shape[1])[:FRAMES])]
        components, _ = librosa.decompose.decompose(frames, transformer=model(COMPONENTS, seed))
        learned[category] = (components / (components.sum(0, keepdims=True) + 1e-12)).T.astype(np.float32)
    return learned


def separate(wave: Wave, classes: Sequence[str], dictionaries: Dictionaries, seed: int) -> dict[str, Wave]:
    """What each of the classes, all different and known, is given of a mixture (L,): (L,)."""
    mixture = spectrum(wave)
    fixed = model(COMPONENTS * len(classes), seed)
    fixed.components_ = np.concatenate([dictionaries[name] for name in classes])
    fixed.n_components_ = len(fixed.components_)
    _, gains = librosa.decompose.decompose(np.abs(mixture), transformer=fixed, fit=False)
    made = [dictionaries[name].T @ own for name, own in zip(classes, np.split(gains, len(classes)), strict=True)]
    total = np.sum(made, axis=0) + 1e-12
    given = [librosa.istft(mixture * (own / total), hop_length=HOP, length=len(wave)) for own in made]
    return dict(zip(classes, given, strict=True))


def share(given: Wave, mixture: Wave) -> float:
    """Of the mixture's energy; 0 of a silent one."""
    return float(np.square(given, dtype=np.float64).sum() / max(np.square(mixture, dtype=np.float64).sum(), 1e-30))


def middle(video: Video, samples: int) -> Wave:
    """The middle (samples,) of a video's sound."""
    wave, _ = soundfile.read(video.audio, dtype="float32")
    start = max(0, (len(wave) - samples) // 2)
    return np.pad(wave[start : start + samples], (0, max(0, samples - len(wave))))


def calibrate(data: Path, dictionaries: Dictionaries, samples: int, max_false_mutes: float, seed: int) -> float:
    """The gate on a class's share."""
    sounding: list[float] = []
    videos = read_index(data / "index/val.csv", data)
    for mixture in read_mixtures(data / "index/val_sep.csv", videos, data):
        own = dict(zip(OBJECTS, mixture, strict=True))
        wave = np.mean([middle(own[name], samples) for name in SOUNDING], axis=0)
        given = separate(wave, [video.category for video in mixture], dictionaries, seed)
        sounding += [share(given[own[name].category], wave) for name in SOUNDING]
    return calibrated_gate(sounding, max_false_mutes)


def answer(mixture: Mixture, dictionaries: Dictionaries, gate: float, seed: int) -> Answers:
    known = sorted({one.category for one in mixture.objects} & set(dictionaries))
    given = separate(mixture.wave, known, dictionaries, seed) if known and mixture.wave.any() else {}
    heard = {name: wave for name, wave in given.items() if share(wave, mixture.wave) >= gate}
    # all objects of sources_N sound, which whoever asks has told
    told = given if mixture.name.startswith("sources_") else heard
    return {one.name: told.get(one.category) for one in mixture.objects}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.nmf", description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the pipeline's folder data")
    parser.add_argument("--max-false-mutes", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    own = parser.parse_args(arguments)
    dictionaries = learn(read_index(own.data / "index/train.csv", own.data), own.seed)
    samples = min(len(mixture.wave) for mixture in read_questions(own.questions))
    gate = calibrate(own.data, dictionaries, samples, own.max_false_mutes, own.seed)
    count = write_answers(own.questions, own.answers, lambda mixture: answer(mixture, dictionaries, gate, own.seed))
    print(f"{own.answers}: {count} mixtures, a class sounds from {gate:.4f} of the energy")


if __name__ == "__main__":
    main()
