"""What the models in the folder above are made of."""
