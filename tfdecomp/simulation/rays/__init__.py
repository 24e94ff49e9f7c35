"""Solids in a room or on a ground, filmed by casting rays."""
