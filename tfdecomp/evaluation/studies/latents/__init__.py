"""Studies of latents: factors in them, walks through them."""
