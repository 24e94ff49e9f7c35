"""Fits a model to one's own video of a fixed camera."""
