"""Scenes of handwritten digits, and where the digits come from."""
