"""Discs that move, collide and are drawn."""
