"""Long work shows itself in one line: rewritten in place on a terminal, written anew now and then in a log."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

OFTEN, SELDOM = 10.0, 300.0  # seconds between two lines of a log: at first, and after hours
REDRAWN = 0.2  # seconds after which a terminal's line is
# What validation measures, as people say it; all others go by their key.
SPOKEN = {"si_sdri": ("SI-SDRi", " dB"), "snri": ("SNRi", " dB")}


def first_process() -> bool:
    """Whether this process is alone, or the first of those that train together: it alone writes, and tells.

    Lightning and SLURM give each its number, from 0 on, before it starts; Lightning's first one has none yet.
    """
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def spoken_time(seconds: float) -> str:
    """`45 s`, `2 min 10 s`, `3 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def spoken_share(share: float) -> str:
    """`82 %`."""
    return f"{100 * share:.0f} %"


def _short(rate: float) -> str:
    """With three digits, and no exponent."""
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"


def spoken_value(name: str, value: float) -> str:
    """What validation measured: `val/si_sdri` and 3.744 -> `SI-SDRi 3.74 dB`."""
    key = name.removeprefix("val/")
    if key in SPOKEN:
        title, unit = SPOKEN[key]
        return f"{title} {value:.2f}{unit}"
    return f"{key.replace('_', ' ')} {value:.3f}"


class Line:
    """How far work is: what it is, how far, its rate, what remains.

    `say`, if given, tells how far in words; it is called when the line is drawn, not at each step.  `done` of `total`
    steps were made before.  No process but the first of several shows anything.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, *, done: int = 0, say: Callable[[], str] | None = None
    ) -> None:
        self.what, self.total, self.unit, self.done, self.say = what, total, unit, done, say
        self.shown = first_process()
        self._first, self._pending = done, 0
        self._started = self._told = time.monotonic()
        self._bar: tqdm | None = None  # type: ignore[type-arg]
        if self.shown and sys.stderr.isatty():
            left = "" if total is None else " {bar} {rate_noinv_fmt}, {remaining} left"
            self._bar = tqdm(
                desc=self._text(), total=total, initial=done, unit=f" {unit}", leave=False, dynamic_ncols=True,
                bar_format="{desc}" + left, mininterval=0, smoothing=0.1,
            )  # fmt: skip

    def move(self, steps: int = 1) -> None:
        """So many more steps are done."""
        self.done += steps
        self._pending += steps
        now = time.monotonic()
        in_a_log = min(max(OFTEN, (now - self._started) / 20), SELDOM)
        if now - self._told >= (in_a_log if self._bar is None else REDRAWN):
            self.tell()

    def tell(self) -> None:
        """Draws or writes the line as it is now."""
        self._told = now = time.monotonic()
        if self._bar is not None:
            self._bar.set_description_str(self._text(), refresh=False)
            if not self._bar.update(self._pending):
                self._bar.refresh()
            self._pending = 0
        elif self.shown and self.done > self._first:
            rate = (self.done - self._first) / (now - self._started + 1e-9)
            left = "" if self.total is None else f", {spoken_time((self.total - self.done) / rate)} left"
            logging.info("%s, %s %s/s%s", self._text(), _short(rate), self.unit, left)

    def _text(self) -> str:
        if self.say is not None:
            return f"{self.what}: {self.say()}"
        return f"{self.what}: {self.done}{'' if self.total is None else f' of {self.total}'}"

    def close(self) -> None:
        """Takes the line off a terminal."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def progress(items: Iterable[Item], desc: str, total: int | None = None, unit: str = "it") -> Iterator[Item]:
    """Hands items on, and shows how many of `total` are done."""
    with Line(desc, total, unit) as line:
        for item in items:
            yield item
            line.move()
