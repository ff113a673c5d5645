"""Other models, asked for the same test mixtures: each reads what `python -m avsep.export mixtures` has written."""
