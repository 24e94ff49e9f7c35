"""What is said of files that cannot be imported."""


class ImportRefusedError(ValueError):
    """A checkpoint that is not what was expected; names what is wrong."""

    def __init__(self, message):
        # Names come from the file, and may hold what a terminal obeys.
        shown = (c if c.isprintable() else "?" for c in message)
        super().__init__("".join(shown))
