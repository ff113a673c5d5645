"""What was learned, to be loaded: checkpoints, detectors, CLIP, captions."""
