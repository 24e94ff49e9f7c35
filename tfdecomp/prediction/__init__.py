"""A trained model on anybody's video: any length, any size."""
