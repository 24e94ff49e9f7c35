"""What a gin config says: values, meanings, and who set them."""
