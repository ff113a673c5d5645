"""Do the networks know an instrument, or its one recording? The demo's test videos, heard with another sound font.

    python -m benchmarks.other_font FluidR3_GM.sf2 /tmp/other

The melodies, rooms and pictures of the test videos stay; another General MIDI sound font plays.  OUT becomes a
workspace with this one's data and weights, in which stage evaluate runs; its figures are printed beside those of
metrics/evaluate.json.  Nothing is trained, and nothing here changes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from unittest import mock

import librosa
import numpy as np
import yaml

from avsep.clips.index import read_index
from avsep.demo import sound
from avsep.media.wav import write_wav

ROOT = Path(__file__).parents[1]
TOLD = ("nsdr", "si_sdri", "balanced_accuracy", "roc_auc", "ece", "leakage_db", "false_mute_rate")


def heard(font: Path, seed: int, category: str, number: int, seconds: float) -> np.ndarray:
    """A video's sound at sound.RATE, mono, as avsep/demo/video.py draws it, by `font` as it is."""
    _, music, _ = np.random.default_rng([seed, zlib.crc32(category.encode()), number]).spawn(3)
    notes = sound.compose(music, category, seconds)
    with mock.patch.object(sound, "sound_font", lambda: font):
        stereo: np.ndarray = sound.play(music, category, notes, seconds, varies=0.0)
    return stereo.mean(axis=1)


def prepare(out: Path, font: Path) -> None:
    """OUT's params, data and links."""
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    rate = values["extract"]["rate"]
    (out / "data").mkdir(parents=True)
    (out / "metrics").mkdir()
    (out / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (out / "checkpoints").symlink_to(Path("checkpoints").resolve(), target_is_directory=True)
    for folder in ("frames", "detection_results", "index", "videos"):
        (out / "data" / folder).symlink_to(Path("data", folder).resolve(), target_is_directory=True)
    shutil.copytree("data/audio", out / "data/audio")
    for video in read_index(Path("data/index/test.csv")):
        number = int(video.name.rpartition("_")[2])
        wave = heard(font, values["seed"], video.category, number, values["videos"]["seconds"])
        mono = librosa.resample(wave, orig_sr=sound.RATE, target_sr=rate)
        path = out / "data/audio" / video.audio.relative_to("data/audio")
        write_wav(path, mono, rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("font", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    prepare(asked.out, asked.font.resolve())
    threads = str(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["threads"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads}
    subprocess.run([sys.executable, "-m", "stages.evaluate"], cwd=asked.out, env=environment, check=True)
    before, after = (json.loads((folder / "metrics/evaluate.json").read_text()) for folder in (Path(), asked.out))
    print("| figure | as trained | another recording |\n| --- | ---: | ---: |")
    for name, values in before.items():
        for figure in TOLD:
            if isinstance(values, dict) and figure in values:
                print(f"| {name} {figure} | {values[figure]:.3f} | {after[name][figure]:.3f} |")


if __name__ == "__main__":
    main()
