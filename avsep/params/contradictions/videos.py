"""Where the videos come from, and what the demo's must be for all that is made of them."""

from collections.abc import Iterator

from avsep.params.sections import Params

DEMO_PATH = "avsep/demo"  # what DVC watches for the demo's videos: the code that renders them


def path(p: Params) -> Iterator[str]:
    if (p.videos.source == "demo") != (p.videos.path == DEMO_PATH):
        of_demo, of_others = f"is made from {DEMO_PATH}", "needs the path of what you bring"
        need = of_demo if p.videos.source == "demo" else of_others
        yield f"videos.path is {p.videos.path}: videos.source {p.videos.source} {need}"


def survey(p: Params) -> Iterator[str]:
    needed = p.survey.demo if p.videos.source == "demo" else p.survey.brought
    if (p.survey.watched, p.survey.lists) != (needed.watched, needed.lists):
        yield (
            f"survey.watched is {p.survey.watched}: it follows from videos.source, {p.videos.source};"
            " set that by `dvc exp run -S`, which composes params.yaml"
        )


def url(p: Params) -> Iterator[str]:
    if "{id}" not in p.download.url:
        yield f"download.url is {p.download.url}: {{id}} must stand where a video's id goes"


def demo_classes(p: Params) -> Iterator[str]:
    if p.videos.source != "demo":
        return
    if len(p.videos.classes) < 4:
        yield f"videos.classes has {len(p.videos.classes)} classes: a mixture needs 4 different ones"
    if len(set(p.videos.classes)) < len(p.videos.classes):
        yield "videos.classes names a class twice"
    if p.videos.per_class < 3:
        yield f"videos.per_class is {p.videos.per_class}: train, val and test need a video each, so 3"


def demo_length(p: Params) -> Iterator[str]:
    if p.videos.source != "demo":
        return
    if p.audio.samples > p.videos.seconds * p.extract.rate:
        yield (
            f"audio.samples is {p.audio.samples}, {p.audio.samples / p.extract.rate:.2f} s:"
            f" longer than every clip (videos.seconds is {p.videos.seconds:g})"
        )
    if p.index.min_seconds >= p.videos.seconds:
        yield (
            f"index.min_seconds is {p.index.min_seconds:g}: sets every clip aside"
            f" (videos.seconds is {p.videos.seconds:g})"
        )


def demo_frames(p: Params) -> Iterator[str]:
    if p.videos.source == "demo" and p.extract.fps > p.videos.fps:
        yield f"extract.fps is {p.extract.fps}: more than videos.fps, {p.videos.fps}"


CHECKS = (path, survey, url, demo_classes, demo_length, demo_frames)
