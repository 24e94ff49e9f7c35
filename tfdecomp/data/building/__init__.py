"""What dataset builders share; `builder_base` is where to begin."""
