"""Which clips: index, splits, mixtures, datasets."""
