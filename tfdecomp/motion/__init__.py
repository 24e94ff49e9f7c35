"""What moves in a video of a fixed camera: arrays in, tracks out."""
