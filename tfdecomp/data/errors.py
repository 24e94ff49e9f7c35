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

    Examples:
        >>> from tfdecomp.data.errors import DatasetInputError
        >>> print(DatasetInputError("no frame", dataset="a", hint="add one"))
        a: no frame; add one
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
    """A file or folder that is not there.

    Examples:
        >>> from tfdecomp.data.errors import MissingFileError
        >>> error = MissingFileError("there is no clip.mp4")
        >>> isinstance(error, FileNotFoundError)
        True
    """

    __str__ = ValueError.__str__


class LayoutError(DatasetInputError):
    """A file whose structure or values are not what they should be.

    Examples:
        >>> from tfdecomp.data.errors import LayoutError
        >>> print(LayoutError("2 channels", hint="give 1 or 3"))
        2 channels; give 1 or 3
    """


class TruncatedError(DatasetInputError):
    """A file that ends too early.

    Examples:
        >>> from tfdecomp.data.errors import TruncatedError
        >>> print(TruncatedError("clip.mp4 ends early", hint="fetch it again"))
        clip.mp4 ends early; fetch it again
    """


class ResolutionError(DatasetInputError):
    """Frames of another size than expected.

    Examples:
        >>> from tfdecomp.data.errors import ResolutionError
        >>> ResolutionError("expected 64 rows", expected=64, found=48).found
        48
    """


class AnnotationError(DatasetInputError):
    """Labels that contradict the data they belong to.

    Examples:
        >>> from tfdecomp.data.errors import AnnotationError
        >>> print(AnnotationError("3 boxes of 2 objects", dataset="a"))
        a: 3 boxes of 2 objects
    """
