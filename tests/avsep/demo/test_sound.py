"""The demo's music: notes within each instrument's reach, heard, level and pitch telling no class."""

import itertools

import numpy as np
import pytest

from avsep.demo.instruments import INSTRUMENTS
from avsep.demo.sound import PARTS, RATE, Note, compose, play


def test_every_instrument_that_is_drawn_plays() -> None:
    assert set(PARTS) == set(INSTRUMENTS)


@pytest.mark.parametrize("name", PARTS)
def test_melodies_fill_their_time_with_few_and_short_rests(name: str) -> None:
    part = PARTS[name]
    for seed in range(10):
        notes = compose(np.random.default_rng(seed), name, 12.0)
        assert all(part.low <= note.pitch <= part.high and 1 <= note.velocity <= 127 for note in notes)
        assert all(note.onset >= 0 and note.onset + note.duration <= 12.0 + 1e-3 for note in notes)
        onsets = sorted({note.onset for note in notes})
        assert len(onsets) >= 6 and onsets == [n for n in dict.fromkeys(note.onset for note in notes)]
        ends = {note.onset: note.onset + note.duration for note in notes}
        gaps = [after - ends[before] for before, after in itertools.pairwise(onsets)]
        assert max(gaps) < 1.5 and sum(max(gap, 0) for gap in gaps) < 0.35 * 12


def test_some_instruments_play_chords_and_winds_never() -> None:
    def voices(name: str) -> int:
        notes = [compose(np.random.default_rng(seed), name, 12.0) for seed in range(5)]
        return max(sum(note.onset == one.onset for note in clip) for clip in notes for one in clip)

    assert voices("accordion") > 1 and voices("acoustic_guitar") > 1
    assert {voices(name) for name in ("clarinet", "flute", "saxophone", "trumpet", "tuba")} == {1}


def test_classes_overlap_in_pitch() -> None:
    pitches = {
        name: {note.pitch for seed in range(12) for note in compose(np.random.default_rng(seed), name, 12.0)}
        for name in PARTS
    }
    for name, own in pitches.items():
        others = [other for other in PARTS if other != name and len(own & pitches[other]) >= 0.4 * len(own)]
        assert len(others) >= 2, (name, others)


@pytest.mark.parametrize("varies", [0.0, 1.0])
@pytest.mark.parametrize("name", PARTS)
def test_sound_is_heard_unclipped_at_the_same_levels(name: str, varies: float) -> None:
    levels = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        audio = play(rng, name, compose(rng, name, 4.0), 4.0, varies)
        assert audio.shape == (4 * RATE, 2) and audio.dtype == np.float32
        assert np.isfinite(audio).all() and np.abs(audio).max() <= 0.9 + 1e-6
        levels.append(20 * np.log10(np.sqrt(np.mean(audio**2))))
    assert min(levels) > -29 and max(levels) < -16


def test_sound_is_a_function_of_its_generator() -> None:
    def clip(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return play(rng, "violin", compose(rng, "violin", 2.0), 2.0, 1.0)

    assert (clip(1) == clip(1)).all()
    assert (clip(1) != clip(2)).any()


@pytest.mark.parametrize("name", PARTS)
def test_each_pitch_sounds(name: str) -> None:
    part = PARTS[name]
    notes = [Note(0.1 * n, 0.08, pitch, 90) for n, pitch in enumerate(range(part.low, part.high + 1))]
    audio = play(np.random.default_rng(0), name, notes, 0.1 * len(notes), 0.0)
    loudest = np.abs(audio[: len(notes) * (RATE // 10)]).reshape(len(notes), -1).max(axis=1)
    assert loudest.min() > 0.03


def test_timbre_changes_nothing_else_that_is_drawn() -> None:
    def clip(varies: float) -> tuple[np.ndarray, float]:
        rng = np.random.default_rng(1)
        return play(rng, "cello", compose(rng, "cello", 2.0), 2.0, varies), rng.random()

    (plain, after), (own, after_own) = clip(0.0), clip(1.0)
    assert after == after_own
    assert (plain != own).any()
    quiet = [np.sqrt(np.mean(wave**2)) for wave in (plain, own)]
    assert quiet[0] == pytest.approx(quiet[1], rel=0.05)  # the level is drawn after the timbre


def test_the_pitch_that_is_written_is_heard() -> None:
    """The strongest partial of a sounding note is its fundamental or an overtone of it."""
    rng = np.random.default_rng(5)
    notes = compose(rng, "flute", 4.0)
    audio = play(rng, "flute", notes, 4.0, 1.0).mean(axis=1)
    note = max(notes, key=lambda one: one.duration)
    start, count = int((note.onset + 0.1) * RATE), int((note.duration - 0.1) * RATE)
    spectrum = np.abs(np.fft.rfft(audio[start : start + count] * np.hanning(count), 1 << 17))
    loudest = np.argmax(spectrum) * RATE / (1 << 17)
    partial = loudest / (440 * 2 ** ((note.pitch - 69) / 12))
    assert abs(12 * np.log2(partial / round(partial))) < 0.6  # semitones: the clip's tuning is within 0.4


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_a_very_short_clip_still_has_a_note(seconds: float) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        notes = compose(rng, "flute", seconds)
        assert notes and np.isfinite(play(rng, "flute", notes, seconds, 1.0)).all()
