"""The demo's music: melodies drawn at random, played by General MIDI instruments, in a room.

A melody's key, tempo, register, dynamics and level are drawn alike for all classes, within what the instrument
can play, so that pitch and loudness do not tell the class. The instrument of a clip is one of its kind (timbre.py).
Sound is float (samples, 2), full scale at 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pretty_midi
import tinysoundfont

from avsep.demo import timbre

RATE = 22050  # Hz

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))


@dataclass(frozen=True)
class Part:
    """What an instrument plays. `program` is General MIDI's, counted from 0."""

    program: int
    low: int  # MIDI pitches
    high: int
    chords: float = 0  # share of notes with others beside them
    decays: bool = False  # sounds die away by themselves: long notes would leave silence
    vibrato: float = 0  # cents at most; 0: neither blown nor bowed


PARTS: dict[str, Part] = {
    "accordion": Part(21, 53, 86, chords=0.5),
    "acoustic_guitar": Part(24, 40, 79, chords=0.35, decays=True),
    "cello": Part(42, 36, 72, chords=0.04, vibrato=40),
    "clarinet": Part(71, 50, 86, vibrato=8),
    "erhu": Part(110, 62, 88, vibrato=40),
    "flute": Part(73, 60, 91, vibrato=20),
    "saxophone": Part(65, 49, 80, vibrato=16),
    "trumpet": Part(56, 54, 82, vibrato=12),
    "tuba": Part(58, 33, 60, vibrato=8),
    "violin": Part(40, 55, 90, chords=0.04, vibrato=40),
    "xylophone": Part(13, 60, 93, chords=0.25, decays=True),
}

MUTE = {(65, 64)}  # programs and keys that the sound font has no sample for


@dataclass(frozen=True)
class Note:
    onset: float  # seconds
    duration: float
    pitch: int  # MIDI
    velocity: int  # 1 to 127


def compose(rng: np.random.Generator, class_name: str, seconds: float) -> list[Note]:
    """A melody with few and short rests that fills `seconds`, in order of onset."""
    part = PARTS[class_name]
    beat = 60 / rng.uniform(66, 144)
    tonic, scale = int(rng.integers(12)), SCALES[int(rng.integers(len(SCALES)))]
    span = int(rng.integers(12, 20))  # semitones of this clip's register
    low = int(rng.integers(part.low, max(part.low, part.high - span) + 1))
    ladder = [pitch for pitch in range(low, min(low + span, part.high) + 1) if (pitch - tonic) % 12 in scale]
    lengths = np.array([0.25, 0.5, 1.0] if part.decays else [0.5, 1.0, 1.5, 2.0])  # beats
    habit = rng.dirichlet(np.full(len(lengths), 2.0))  # how often each: the clip's rhythm
    touch, rests = rng.uniform(0.8, 1.0), rng.uniform(0.0, 0.08)
    loud, swell, phase = rng.uniform(60, 105), rng.uniform(0, 18), rng.uniform(0, 2 * np.pi)
    notes: list[Note] = []
    step, time = int(rng.integers(len(ladder))), float(rng.uniform(0, min(0.2, seconds / 4)))
    while not notes or time < seconds - 0.1:
        length = float(min(rng.choice(lengths, p=habit) * beat, seconds - time))
        if notes and rng.random() < rests:
            time += min(0.5 * beat, 0.3)
            continue
        step += int(rng.choice([-4, -3, -2, -1, -1, 0, 1, 1, 2, 3, 4]))
        step = _reflected(step, len(ladder))
        level = loud + swell * np.sin(2 * np.pi * time / 8 + phase) + rng.normal(0, 5)
        velocity = int(np.clip(level, 30, 124))
        chord = [step]
        if rng.random() < part.chords:
            chord += [step + 2, step + 4][: int(rng.integers(1, 3))]
        for voice in chord:
            if voice < len(ladder):
                notes.append(Note(round(time, 4), round(touch * length, 4), ladder[voice], velocity))
        time += length
    return notes


def _reflected(step: int, count: int) -> int:
    """A walk's step kept in 0 ... count - 1 by turning back at the ends."""
    step = abs(step)
    return step if step < count else max(0, 2 * (count - 1) - step)


def play(rng: np.random.Generator, class_name: str, notes: Sequence[Note], seconds: float, varies: float) -> np.ndarray:
    """The notes as sound in a room of drawn size, at a drawn level: float32 (seconds * RATE, 2).

    `varies`: how widely the instrument's timbre is drawn, from 0, as the sound font has it, to 1.
    """
    [own] = rng.spawn(1)  # so that what is drawn for the timbre changes no other draw
    dry = _instrument(own, PARTS[class_name], notes, round(seconds * RATE), float(rng.uniform(-0.4, 0.4)), varies)
    wet = _in_room(rng, dry)
    wet *= 10 ** (rng.uniform(-26, -18) / 20) / np.sqrt(np.mean(wet**2))  # the level, dB re full scale
    wet += rng.normal(0, 10 ** (rng.uniform(-78, -62) / 20), size=wet.shape)  # the room's own noise
    return _limited(wet, 0.9).astype(np.float32)


def _instrument(
    rng: np.random.Generator, part: Part, notes: Sequence[Note], samples: int, tuning: float, varies: float
) -> np.ndarray:
    """The dry sound of one instrument of a kind, mono float64 (samples,); `tuning` in semitones."""
    if not varies:
        return _synthesize(part.program, notes, samples, tuning)
    own = timbre.draw(rng, varies, part.vibrato)
    held = [replace(note, duration=note.duration + own.release) for note in notes]
    dry = _synthesize(part.program, held, samples, tuning)
    return timbre.perform(rng, own, [round(note.onset * RATE) for note in notes], dry, RATE)


def sound_font() -> Path:
    """TimGM6mb, the General MIDI sound font that pretty_midi brings."""
    return Path(pretty_midi.__file__).with_name("TimGM6mb.sf2")


def _synthesize(program: int, notes: Sequence[Note], samples: int, tuning: float) -> np.ndarray:
    """The dry sound, mono float64 (samples,); `tuning` in semitones."""
    synth = tinysoundfont.Synth(samplerate=RATE)  # a new one each time: a used one still rings
    font = synth.sfload(str(sound_font()))
    for channel in (0, 1):  # the second one stands in for keys that are mute, with the next lower one's sample
        synth.program_select(channel, font, 0, program)
        synth.set_tuning(channel, tuning + channel)
    places = {note.pitch: _place(program, note.pitch) for note in notes}
    # at one sample ends come before onsets, or a repeated pitch would be cut off
    events = sorted(
        event
        for note in notes
        for event in (
            (round(note.onset * RATE), 1, *places[note.pitch], note.velocity),
            (round((note.onset + note.duration) * RATE), 0, *places[note.pitch], 0),
        )
    )
    pieces, now = [], 0
    for sample, starts, channel, key, velocity in [*events, (samples, 0, 0, 0, 0)]:
        until = min(sample, samples)
        if until > now:
            pieces.append(np.frombuffer(synth.generate(until - now), np.float32).reshape(-1, 2).mean(axis=1))
            now = until
        if starts:
            synth.noteon(channel, key, velocity)
        else:
            synth.noteoff(channel, key)
    return np.concatenate(pieces).astype(np.float64)


def _place(program: int, key: int) -> tuple[int, int]:
    """The channel and the key that play a key."""
    return (1, key - 1) if (program, key) in MUTE else (0, key)


def _in_room(rng: np.random.Generator, dry: np.ndarray) -> np.ndarray:
    """Sound (samples,) -> (samples, 2): the direct sound to both sides, and each side's decaying reverberation."""
    decay = rng.uniform(0.15, 0.7)  # seconds until 60 dB less
    wet = rng.uniform(0.05, 0.35)  # reverberation's energy relative to the direct sound's
    pan = rng.uniform(0.35, 0.65)
    length = round(decay * RATE)
    tail = rng.normal(size=(length, 2)) * 10 ** (-3 * np.arange(length) / length)[:, None]
    tail *= np.sqrt(wet / (tail**2).sum(axis=0))
    tail[0] += np.sqrt(2) * np.array([np.cos(pan * np.pi / 2), np.sin(pan * np.pi / 2)])
    size = 1 << (len(dry) + length).bit_length()
    spectrum = np.fft.rfft(dry, size)[:, None] * np.fft.rfft(tail, size, axis=0)
    return np.fft.irfft(spectrum, size, axis=0)[: len(dry)]


def _limited(sound: np.ndarray, ceiling: float) -> np.ndarray:
    """Sound (samples, channels) kept below `ceiling` by a gain that falls a moment before each peak.

    Struck sounds would otherwise have to be far quieter than sustained ones, and level would tell the class.
    """
    block = RATE // 500  # 2 ms
    count = -(-len(sound) // block)
    padded = np.zeros((count * block, sound.shape[1]))
    padded[: len(sound)] = sound
    peaks = np.abs(padded).reshape(count, -1).max(axis=1)  # (count,)
    around = np.max([peaks, np.append(peaks[1:], 0), np.append(0, peaks[:-1])], axis=0)
    gain = np.minimum(1, ceiling / np.maximum(around, ceiling))
    # between two blocks' middles the gain runs straight; each has the lower gain of its neighbours' peaks
    return sound * np.interp(np.arange(len(sound)), (np.arange(count) + 0.5) * block, gain)[:, None]
