"""Bad input, at scale: files of every kind that the pipeline reads, spoilt in every way that a generator can think of.

    python -m tests.bad_inputs [--seed 0] [--entry NAME] [--all]

`entries` are the places where a file comes in, each with a good one and the code that reads it; `spoiling` makes bad
ones of it; `trying` reads these in a process of its own, with limits of time and memory.
"""
