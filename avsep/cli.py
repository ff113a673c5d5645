"""The word `avsep`: what a trained pipeline does with files of one's own, and what stands around it.

`python -m avsep` is the same.  What a command prints goes to standard output, progress and faults to standard error; it
ends with 0, with 1 if something could not be done, with 2 if it was asked wrongly, with 130 if it was stopped.
"""

import json
import logging
import math
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from tqdm import tqdm

from avsep.errors import InputError

if TYPE_CHECKING:
    from avsep.separating.streaming import Place

app = typer.Typer(
    name="avsep",
    help="Sounds of the objects in a video: separate, check, export.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
exporting = typer.Typer(help="What the pipeline made, in files for other code.", no_args_is_help=True)
packing = typer.Typer(help="A trained model in one folder, to hand on.", no_args_is_help=True)
publishing = typer.Typer(help="What the papers' authors publish.", no_args_is_help=True)
app.add_typer(exporting, name="export")
app.add_typer(packing, name="package")
app.add_typer(publishing, name="published")

Root = Annotated[Path, typer.Option("--model", metavar="DIR", help="Folder of params.yaml, checkpoints/, metrics/.")]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR|NAME",
        help="A package (checkpoints/package), a repository's root, or owner/name on the Hugging Face hub. Without,"
        " what is trained here, or else the demo's.",
    ),
]
Revision = Annotated[str | None, typer.Option(metavar="NAME", help="Branch, tag or commit, of a name on the hub.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for scripts.")]


class Stopped(BaseException):
    """By Ctrl-C, or told to end: what is half done goes, on the way out."""


def main() -> None:
    """Runs the word's command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except InputError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except BrokenPipeError:  # `| head` has read enough
        sys.stderr.close()
        sys.exit(1)
    except Stopped:
        print("stopped; what is whole stays", file=sys.stderr)
        sys.exit(130)


def _stop(number: int, frame: Any) -> NoReturn:
    raise Stopped


# --- separate


@app.command()
def separate(
    files: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos, or folders of videos.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="A folder, with one in it for each video.")],
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS", help="Ask for this, in words, in place of what is seen; sound files too. May be repeated."
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X1,Y1,X2,Y2[@SECONDS]", help="Ask for what is there too, in pixels. May be repeated."),
    ] = None,
    model: Model = None,
    revision: Revision = None,
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which system separates: see `avsep systems`.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda or mps, in place of the params' one.")
    ] = None,
    extend: Annotated[
        Literal["average", "zero", "mixture"],
        typer.Option(
            help="What an object is given above what the networks hear: its mask's average over the highest octave"
            " heard, nothing, or an equal share of the mixture."
        ),
    ] = "average",
    seen: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Share of the pictures in which an object must be seen. Less for long videos."
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="NAME", help="Look for this, if the detector is asked in words. May be repeated."
        ),
    ] = None,
    look: Annotated[bool, typer.Option("--look", help="Tell on the page where VAST finds each sound.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--keep", help="Make anew what is there, or keep it and go on.")
    ] = False,
    videos: Annotated[bool, typer.Option(help="Write each sound's video too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Find the objects in videos, and give each its sound.

    For each video a folder is written, whole or not at all: a sound for each object and the residual (they add up to
    the video's sound, at its rate, with its channels), objects.json, objects.jpg, a video for each object, and
    index.html, to look at and to listen to.

    \b
    Examples:
      avsep separate concert.mp4 -o sounds --model checkpoints/package
      avsep separate recordings/ -o sounds            a whole folder; again: it goes on where it stopped
      avsep separate song.wav -o sounds --text violin --text "a person playing the piano"
      avsep separate concert.mp4 -o sounds --box 40,80,200,300@12.5
    """
    places = [_place(one) for one in box or []]
    _say("loading")
    from avsep.folders import jobs, separate_all  # here, since importing torch takes seconds
    from avsep.separate import Separator

    separator = Separator.from_pretrained(
        _model(model),
        system=system,
        device=device,
        classes=classes,
        extend=extend,
        seen=seen,
        look=look,
        revision=revision,
    )
    asked = jobs(files, out, words=bool(text))
    bars = Bars(len(asked))
    failed = 0
    done = separate_all(
        separator, asked, texts=text or [], boxes=places, videos=videos, overwrite=overwrite, told=bars.of
    )
    for number, one in enumerate(done, start=1):
        bars.close()
        which = f"[{number}/{len(asked)}] " if len(asked) > 1 else ""
        if one.told is None:
            failed += 1
            print(f"{which}error: {one.error}", file=sys.stderr, flush=True)
            if as_json:
                print(json.dumps({"file": str(one.job.file), "error": one.error}), flush=True)
            continue
        if as_json:
            for line in _lines(one.job.file, one.job.folder, one.told):
                print(json.dumps(line), flush=True)
            continue
        print(f"{which}{one.job.file} -> {one.job.folder}{' (there already)' if one.kept else ''}")
        for row in _table(one.told):
            print(f"  {row}")
        print(f"  listen: {one.job.folder / 'index.html'}", flush=True)
    if failed:
        print(f"{failed} of {len(asked)} could not be separated", file=sys.stderr)
        raise typer.Exit(1)


def _model(given: Path | None) -> Path:
    """The one that was given, or the one that is here, which is told."""
    from avsep.packaging.hub import default_model

    if given is not None:
        return given
    found = default_model()
    print(f"model: {found.resolve()}", file=sys.stderr, flush=True)
    return found


def _place(text: str) -> "Place":
    from avsep.separating.streaming import Place

    corners, at, seconds = text.partition("@")
    try:
        x1, y1, x2, y2 = map(float, corners.split(","))
        when = float(seconds) if at else None
        if not all(math.isfinite(value) for value in (x1, y1, x2, y2, when or 0.0)):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no box: x1,y1,x2,y2 or x1,y1,x2,y2@seconds") from None
    return Place(x1, y1, x2, y2, when)


def _lines(file: Path, folder: Path, told: dict[str, Any]) -> list[dict[str, Any]]:
    """An object each, without what is long."""
    lines = []
    for one in told["sounds"]:
        short = {name: value for name, value in one.items() if name not in ("windows", "boxes", "seen")}
        muted = sum(window["muted"] is not None for window in one["windows"]) / max(1, len(one["windows"]))
        box = one["boxes"][len(one["boxes"]) // 2] if one["boxes"] else None
        lines.append({"source": str(file), "folder": str(folder), **short, "muted": round(muted, 4), "box": box})
    return lines


def _table(told: dict[str, Any]) -> list[str]:
    """A line for each sound."""
    if not told["sounds"]:
        return ["no object was found: all sound is in residual.wav"]
    wide = max(len(one["name"]) for one in told["sounds"])
    lines = []
    for one in told["sounds"]:
        sure = "" if one["probability"] is None else f"sounds {100 * one['probability']:3.0f} %"
        muted = sum(window["muted"] is not None for window in one["windows"])
        part = f"  (muted in {muted} of {len(one['windows'])} windows)" if muted else ""
        level = "  silent " if one["level_db"] is None else f"{one['level_db']:6.1f} dB"
        if told["threshold"] is not None and one["heard"] is False:
            part = "  (probably not here)"
        lines.append(f"{one['number']:2d} {one['name']:{wide}}  {sure}  {level}  {one['file']}{part}")
    if told["unsure"] is not None:
        lines.append(f"no probabilities: {told['unsure']}")
    return lines


class Bars:
    """One line of progress for what is done now: what remains, and how many times as fast as the sound itself."""

    def __init__(self, total: int) -> None:
        self.total, self.number = total, 0
        self._bar: Any = None
        self._what = ""
        self._begun = self._told = 0.0

    def of(self, job: Any) -> Any:
        """What tells of a file's progress."""
        self.number += 1
        name = job.file.name if self.total == 1 else f"[{self.number}/{self.total}] {job.file.name}"

        def told(what: str, done: float, total: float) -> None:
            now = time.monotonic()
            if what != self._what:
                self.close()
                self._what, self._begun, self._told = what, now, now
                if sys.stderr.isatty():
                    form = "{desc}: {percentage:3.0f}% |{bar}| {remaining} left{postfix}"
                    self._bar = tqdm(total=total, desc=f"{name}: {what}", bar_format=form, leave=False)
            speed = done / max(1e-9, now - self._begun)
            factor = "" if what == "writing" else f", {speed:.1f} times real time"
            if self._bar is not None:
                self._bar.total = total
                self._bar.set_postfix_str(factor.removeprefix(", "), refresh=False)
                self._bar.update(min(done, total) - self._bar.n)
            elif now - self._told >= 10:
                self._told = now
                left = (total - done) / max(1e-9, speed)
                print(f"{name}: {what}: {done:.0f}/{total:.0f}, {left:.0f} s left{factor}", file=sys.stderr, flush=True)

        return told

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar, self._what = None, ""


def _say(what: str) -> None:
    """A word while nothing is seen yet, on a terminal alone."""
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)


@app.command()
def web(
    model: Model = None,
    revision: Revision = None,
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which system separates what is seen: see `avsep systems`.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda or mps, in place of the params' one.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where it is served; 0.0.0.0: to all who reach it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 7860,
    examples: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Offer the videos of this folder, for a first try.")
    ] = None,
    megabytes: Annotated[float, typer.Option("--max-mb", min=0, help="Of a file, at most.")] = 500,
    minutes: Annotated[float, typer.Option("--max-minutes", min=0, help="Of a file's sound, at most.")] = 10,
    kept: Annotated[
        float, typer.Option("--keep-minutes", min=0.1, help="When nobody wants them any more, files go after these.")
    ] = 60,
    look: Annotated[bool, typer.Option(help="Tell where VAST finds each sound, if it is trained.")] = True,
) -> None:
    """Serve a page: drop a video, click an object, hear it alone.

    Files stay on this machine, in a temporary folder.  Several users wait for one another.  Ctrl-C ends it.

    \b
    Examples:
      avsep web
      avsep web --model checkpoints/package --examples data/videos
      avsep web --host 0.0.0.0 --port 8000 --max-minutes 5      for a group, in a network that you trust
    """
    _say("loading")
    from avsep.separate import Separator  # here, since importing torch takes seconds
    from avsep.systems.catalogue import entry_of

    try:
        from avsep.web import app as pages
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise InputError(f"{error.name} is not installed: pip install 'avsep[web]'") from None
    from avsep.web.desk import Desk, Limits

    chosen = _model(model)
    separator = Separator.from_pretrained(chosen, system=system, device=device, revision=revision, look=look)
    words: Separator | None = None
    if any(entry.asked == "phrase" for entry in separator.trained):
        spoken = system is None or entry_of(system).asked == "phrase"
        words = separator if spoken else Separator.from_pretrained(chosen, device=device, revision=revision, look=look)
        words.load(words=True)
    separator.load(words=False)
    offered = [] if examples is None else pages.examples_in(examples)
    limits = Limits(round(megabytes * 1e6), 60 * minutes, 60 * kept)
    with pages.listen(host, port) as sock, tempfile.TemporaryDirectory(prefix="avsep-web-") as folder:
        desk = Desk(separator, words, Path(folder), limits)
        try:
            address = f"[{host}]" if ":" in host else host
            print(f"open http://{address}:{sock.getsockname()[1]} in a browser; Ctrl-C ends it", flush=True)
            pages.serve(pages.make_app(desk, examples=offered, names=pages.names_of(host)), sock)
        finally:
            desk.close()


# --- What there is


@app.command()
def systems(model: Model = None, revision: Revision = None, as_json: AsJson = False) -> None:
    """Tell what is trained here, with scores and limits.

    \b
    Examples:
      avsep systems --model /path/to/trained
    """
    from avsep.info import trained

    told = trained(_model(model), revision)
    if as_json:
        for one in told["systems"]:
            print(json.dumps(one))
        return
    heads = ("system", "asked", "tells silence", "NSDR", "SI-SDRi", "scenes: SNRi", "leakage", "")
    rows = [
        (
            one["system"],
            one["asked"],
            "yes" if one["tells_silence"] else "no",
            *(_number(one[name]) for name in ("nsdr", "si_sdri", "scenes_snri", "scenes_leakage_db")),
            f"{'' if one['trained'] else 'not trained; '}{one['title']}",
        )
        for one in told["systems"]
    ]
    _print_table(heads, rows)
    pairs, scenes = told["pairs"] or "no", told["scenes"] or "no"
    print(
        f"\nIn dB: NSDR and SI-SDRi, the mean gain over the mixture on {pairs} pairs of test videos; in {scenes} scenes"
        " of several players\nthe gain in SNR, and the level of what silent players are given, re the mixture."
        f"\nWithout --system {told['chosen']} separates.  Limits: {told['rate']} Hz, windows of"
        f" {told['window_seconds']:g} s; {told['limits']}."
    )


@app.command()
def info(as_json: AsJson = False) -> None:
    """Tell versions, ffmpeg, devices and memory, for a bug report.

    \b
    Examples:
      avsep info
    """
    from avsep.info import installed

    told = installed()
    if as_json:
        print(json.dumps(told))
        return
    for name, value in told.items():
        print(f"{name:13s}{value}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Training videos, <class>/<anything>.mp4 and the like.")],
    min_seconds: Annotated[float, typer.Option(help="A shorter video is set aside (index.min_seconds).")] = 6.0,
    silence_db: Annotated[float, typer.Option(help="A video is silent below this (index.silence_db).")] = -60.0,
    rate: Annotated[int, typer.Option(help="Hz that the networks hear (extract.rate).")] = 11025,
    listen: Annotated[bool, typer.Option(help="Decode all sound; without, headers alone are read.")] = True,
    every: Annotated[bool, typer.Option("--all", help="List what is right too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what is wrong with a folder of training videos, before hours are spent; ends with 1 if something is.

    \b
    Examples:
      avsep check "/home/lab/My recordings"
    """
    from avsep.checking import check as look

    told = Bars(1)

    class _Folder:
        file = folder

    tell = told.of(_Folder)
    done, wrong = look(
        folder,
        min_seconds=min_seconds,
        silence_db=silence_db,
        rate=rate,
        decode=listen,
        told=lambda number, total: tell("writing", number, total),
    )
    told.close()
    bad = [one for one in done if one.wrong]
    shown = done if every else bad
    if as_json:
        for one in shown:
            loudest = None if one.loudest_db is None or math.isinf(one.loudest_db) else round(one.loudest_db, 1)
            about = {"file": one.file, "seconds": one.seconds, "picture": one.picture, "sound": one.sound}
            print(json.dumps({**about, "loudest_db": loudest, "wrong": list(one.wrong)}))
        for fault in wrong:
            print(json.dumps({"file": None, "wrong": [fault]}))
    else:
        heads = ("file", "seconds", "picture", "sound", "loudest", "what is wrong")
        rows = [
            (
                one.file,
                _number(one.seconds),
                one.picture,
                one.sound,
                "" if one.loudest_db is None else f"{one.loudest_db:.0f} dB",
                "; ".join(one.wrong) or "-",
            )
            for one in shown
        ]
        if rows:
            _print_table(heads, rows)
        for fault in wrong:
            print(fault)
        print(f"{len(done)} videos, {len(bad)} with something wrong")
    if bad or wrong:
        raise typer.Exit(1)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _print_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        print("  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip())


# --- Files for other code, and of others


@exporting.command("mixtures")
def export_mixtures(folder: Annotated[Path, typer.Argument(help="A new folder.")], model: Root = Path()) -> None:
    """Write the test mixtures, for another model to be scored on (docs/external.md).

    \b
    Examples:
      avsep export mixtures /tmp/mixtures
    """
    from avsep.export_mixtures import export_mixtures as write

    print(f"{folder}: {write(folder, model)} mixtures")


@exporting.command("videos")
def export_videos(folder: Annotated[Path, typer.Argument(help="A new folder.")], model: Root = Path()) -> None:
    """Write all videos that data/index lists in the published layout.

    \b
    Examples:
      avsep export videos /tmp/videos
    """
    from avsep.export import export as write

    print(f"{folder}: {write(model / 'data', folder)} videos")


@packing.command("copy")
def package_copy(
    out: Annotated[Path, typer.Argument(help="A folder, new or of another package.")],
    model: Annotated[
        Path, typer.Option("--model", metavar="DIR|NAME", help="A package, or owner/name on the Hugging Face hub.")
    ] = Path("checkpoints/package"),
    revision: Revision = None,
) -> None:
    """Copy a package, checked, and nothing else, and tell its size.

    \b
    Examples:
      avsep package copy /media/stick/model
      avsep package copy model --model owner/name       downloads it
    """
    from avsep.packaging.folder import copy_package
    from avsep.packaging.hub import located

    size = copy_package(located(model, revision=revision), out)
    print(f"{out}: {size / 1e6:.2f} MB")


@packing.command("push")
def package_push(
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the Hugging Face hub.")],
    model: Annotated[Path, typer.Option("--model", metavar="DIR", help="A package.")] = Path("checkpoints/package"),
    public: Annotated[bool, typer.Option("--public/--private", help="If it is made now: for all to see.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="NAME", help="A branch, made if it is not there.")] = None,
) -> None:
    """Bring a package to the Hugging Face hub, with the token that `hf auth login` has left.

    \b
    Examples:
      avsep package push owner/name
    """
    from avsep.packaging.hub import push

    print(push(model, name, private=not public, revision=revision))


@publishing.command("fetch")
def published_fetch(
    source: Annotated[str, typer.Argument(help="Whose: ccol, ccol-data (frames and detections), vast, ...")],
    out: Annotated[Path, typer.Argument(help="A folder.")],
) -> None:
    """Bring what the authors publish.

    \b
    Examples:
      avsep published fetch ccol checkpoints/authors/ccol
    """
    from avsep.fetch import SOURCES, fetch

    if source not in SOURCES:
        raise typer.BadParameter(f"{source!r} is none of {', '.join(sorted(SOURCES))}")
    fetch(SOURCES[source], source, out)


@publishing.command("import")
def published_import(
    folder: Annotated[Path, typer.Argument(help="Holds the authors' .pth files.")],
    out: Annotated[Path, typer.Argument(help="checkpoints/cyclic/best.safetensors; baseline's, trimodal's.")],
    saved: Annotated[Literal["best", "latest"], typer.Option(help="Which of both that trainings keep.")] = "best",
    clip: Annotated[Path | None, typer.Option(help="VAST: the CLIP that evaluation asks.")] = None,
) -> None:
    """Make a file of ours of the authors' weights.

    \b
    Examples:
      avsep published import checkpoints/authors/ccol checkpoints/cyclic/best.safetensors
    """
    from avsep.published import write_imported
    from avsep.weights.clip import CLIP

    write_imported(folder, out, saved, CLIP if clip is None else clip)


if __name__ == "__main__":
    main()
