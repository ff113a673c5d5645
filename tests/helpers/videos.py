"""Params of where videos come from, for the tests of stages that read them."""

from avsep.params.sections import Download, Videos

DEMO = Videos(
    source="demo",
    path="avsep/demo",
    classes=["cello", "flute", "trumpet", "tuba"],
    per_class=3,
    seconds=7.0,
    fps=8,
    width=64,
    height=64,
)

# From nowhere, if a test gives no site's url.
DOWNLOAD = Download(
    url="http://127.0.0.1:1/{id}", height=360, rate=None, sleep=0.0, retries=0, pause=0.0, retry_unavailable=False
)
