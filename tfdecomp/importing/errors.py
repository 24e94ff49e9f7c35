"""What is said of files that cannot be imported."""


class ImportRefusedError(ValueError):
    """A checkpoint that is not what was expected; names what is wrong."""
