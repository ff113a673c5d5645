"""Parity with published numbers."""
