"""Errors about the content of datasets and files.

Every message says what was expected, what came and what to do.
"""


class DatasetInputError(ValueError):
    """Data that cannot be used.

    Args:
        problem: One sentence: which file, what was expected, what was found.
        dataset: Name of the dataset.
        path: File or folder at fault.
        expected: What was expected.
        found: What came.
        hint: What to do; the layout of the files for manual data.
    """

    def __init__(
        self,
        problem,
        *,
        dataset=None,
        path=None,
        expected=None,
        found=None,
        hint=None,
    ):
        self.problem = problem
        self.dataset = dataset
        self.path = path
        self.expected = expected
        self.found = found
        self.hint = hint
        prefix = f"{dataset}: " if dataset else ""
        suffix = f"; {hint}" if hint else ""
        super().__init__(f"{prefix}{problem}{suffix}")


class MissingFileError(DatasetInputError, FileNotFoundError):
    """A file or folder that is not there."""

    __str__ = ValueError.__str__


class LayoutError(DatasetInputError):
    """A file whose structure or values are not what they should be."""


class TruncatedError(DatasetInputError):
    """A file that ends too early."""


class ResolutionError(DatasetInputError):
    """Frames of another size than expected."""


class AnnotationError(DatasetInputError):
    """Labels that contradict the data they belong to."""
