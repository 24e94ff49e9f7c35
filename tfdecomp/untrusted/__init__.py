"""Models and configs that came from elsewhere, read as data."""
