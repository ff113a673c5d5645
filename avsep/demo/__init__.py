"""Renders the demo's instruments: their sound and their pictures."""
