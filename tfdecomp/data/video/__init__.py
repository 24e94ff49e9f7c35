"""Frames in and out: video files, pictures, folders of them."""
