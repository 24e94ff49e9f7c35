"""What a prediction writes: arrays, tracks, one folder."""
