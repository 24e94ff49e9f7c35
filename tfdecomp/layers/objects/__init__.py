"""Layers of SILOT: objects that are found, follow, are drawn."""
