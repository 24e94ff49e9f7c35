"""Readers of published files: found, checked, turned into examples."""
