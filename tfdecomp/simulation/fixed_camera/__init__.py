"""Animals and traffic, as a fixed camera would film them."""
