"""Layers of systems whose objects have a pose."""
