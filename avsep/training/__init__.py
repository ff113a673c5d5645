"""Seeds, checkpoints and the one training loop."""
