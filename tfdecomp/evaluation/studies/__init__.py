"""Studies of the IODINE paper: a model and images in, findings out."""
