"""The first screen: what came out, a sentence for each thing that was measured, and one mixture to hear at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from avsep.report.measured import Headline, Separation
from avsep.report.mixtures import Mixture, SeenObject, Track
from avsep.report.tables import decimal
from avsep.systems.catalogue import Entry


@dataclass(frozen=True)
class Sentence:
    """A figure, and what it says."""

    figure: str
    text: str


def sentences(headline: Headline) -> list[Sentence]:
    """Separation by each method, grounding, silence, phrases; of what was not measured, nothing."""
    told = [separation(one) for one in headline.separation]
    if (system := headline.grounded) is not None:
        share, low, high = (headline.grounding[f"balanced_accuracy{end}"] for end in ("", "_low", "_high"))
        interval = f"95 % interval {decimal(100 * low)} to {percent(high)}"
        told.append(
            Sentence(
                percent(share),
                f"of the objects in sight are told right by {system.title}, sounding or silent ({interval}; guessing"
                f" {percent(0.5, 0)}).",
            )
        )
        quiet, low, high = (headline.silent[f"leakage_db{end}"] for end in ("", "_low", "_high"))
        told.append(
            Sentence(
                f"{decimal(quiet)} dB",
                f"is what a silent object is given by {system.title}, re the mixture (95 % interval {decimal(low)} to"
                f" {decimal(high)}); {percent(headline.silent['false_mute_rate'])} of what sounds is muted by mistake.",
            )
        )
    if (system := headline.sure) is not None:
        phrases = headline.phrases
        told.append(
            Sentence(
                percent(phrases["accepted_present"]),
                f"of phrases for what sounds are taken as present by {system.title}, and"
                f" {percent(phrases['accepted_absent'])} of those for what does not sound.",
            )
        )
    return told


def separation(one: Separation) -> Sentence:
    """The mean gain of a method's first system, with its interval, and what the wrong query has."""
    low, high = decimal(one.nsdr.low, 1, True), decimal(one.nsdr.high, 1, True)
    wrong = "".join(f"; asked for another class {decimal(nsdr, 1, True)}" for nsdr in one.wrong)
    return Sentence(
        f"{decimal(one.nsdr.value, 1, True)} dB",
        f"is gained over the mixture by {one.system.title} (mean NSDR, 95 % interval {low} to {high}{wrong}).",
    )


def percent(share: float, digits: int = 1) -> str:
    return f"{decimal(100 * share, digits)}\N{NO-BREAK SPACE}%"


@dataclass(frozen=True)
class Shown:
    """An object of the first mixture with its sounds: what a system makes of it, and, if it sounds, how it is."""

    seen: SeenObject
    estimate: Track | None
    true: Track | None


@dataclass(frozen=True)
class First:
    """The mixture of the first screen."""

    mixture: Mixture
    system: Entry | None  # whose sounds are heard
    objects: Sequence[Shown]

    @property
    def whole(self) -> Track:
        return self.mixture.objects[0].deck.tracks[0]


def first(mixtures: Sequence[Mixture], headline: Headline, systems: Iterable[Entry]) -> First | None:
    """The mixture whose NSDR is nearest to the median of all that are shown: neither the best nor the worst. By the
    first system of a method that is asked with an object, else any that is."""
    asked = [system for system in systems if system.asked == "object" and system.group != "reference"]
    leading = [one.system for one in headline.separation if one.system in asked] or asked
    system = leading[0] if leading else None
    if not mixtures:
        return None
    if system is None:
        return First(mixtures[0], None, [Shown(seen, None, true_of(seen)) for seen in mixtures[0].objects])
    heard = [mixture for mixture in mixtures if system.name in mixture.nsdr] or list(mixtures)
    middle = float(np.median([mixture.nsdr.get(system.name, 0.0) for mixture in heard]))
    chosen = min(heard, key=lambda mixture: abs(mixture.nsdr.get(system.name, 0.0) - middle))
    return First(chosen, system, [Shown(seen, by(seen, system), true_of(seen)) for seen in chosen.objects])


def by(seen: SeenObject, system: Entry) -> Track | None:
    return next((track for track in seen.deck.tracks if track.system == system.name), None)


def true_of(seen: SeenObject) -> Track | None:
    return next((track for track in seen.deck.tracks if track.kind == "reference"), None)
