"""Layers of MONet: what cuts a picture into masks, and reads the parts."""
