"""Scenes of several players, some silent: rendered, looked at, separated and scored as a user's video is."""
