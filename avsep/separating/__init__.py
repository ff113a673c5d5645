"""A video file -> objects -> sounds: windows, tracks, gates."""
