"""Trained models by name: packed, published, loaded."""
