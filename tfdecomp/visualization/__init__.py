"""Pictures: arrays in, uint8 images out. Callers write the files."""
