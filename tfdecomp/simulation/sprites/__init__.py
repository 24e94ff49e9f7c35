"""Flat shapes: still scenes, moving ones and a game."""
