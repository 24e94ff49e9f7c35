"""Measurements of time and memory, for `tfdecomp.benchmark`."""
