"""Models, checkpoints and configs on disk: written whole, found again."""
