"""Params of where videos come from, for the tests of stages that read them."""

from avsep.params.sections import Download, Frames, Index, Videos

DEMO = Videos(
    source="demo",
    path="avsep/demo",
    classes=["cello", "flute", "trumpet", "tuba"],
    per_class=3,
    seconds=7.0,
    fps=8,
    width=64,
    height=64,
    timbre=1.0,
)

# From nowhere, if a test gives no site's url.
DOWNLOAD = Download(
    url="http://127.0.0.1:1/{id}", height=360, rate=None, sleep=0.0, retries=0, pause=0.0, retry_unavailable=False
)

INDEX = Index(
    lists="split",
    allow_leaks=False,
    val=0.15,
    test=0.2,
    min_seconds=6.0,
    max_rejected=0.3,
    silence_db=-60.0,
    val_mixtures=4,
    test_mixtures=8,
)

# How CCoL sees them, one frame a second.
FRAMES = Frames(fps=1, count=1, stride=1, resize=16, size=16, square=True, augment="none", cache=True)
