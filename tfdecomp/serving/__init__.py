"""Trained models behind HTTP: arrays, videos, and a page to drop one on."""
