"""Params of where videos come from, for the tests of stages that read them."""

from avsep.params import Videos

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
