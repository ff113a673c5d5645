"""Files to arrays and back: video, sound windows, frames, spectrograms."""
