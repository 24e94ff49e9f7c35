"""What a server answers instead of a result: a status and one sentence."""

from tfdecomp.untrusted import model_files

GONE = 499  # the client hung up; nobody reads this answer
_MOST_WORDS = 400  # characters


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: The status of HTTP.
        sentence: What was expected, what came and what to do.
        retry_s: Seconds after which it is worth another try; None: never.

    Examples:
        >>> from tfdecomp.serving.refusals import Refused
        >>> Refused(404, "there is no model 'a'").status
        404
    """

    def __init__(self, status, sentence, retry_s=None):
        super().__init__(sentence)
        self.status, self.retry_s = status, retry_s

    @property
    def sentence(self):
        """The words, in one line of bounded length."""
        return model_files.printable(" ".join(str(self).split()), _MOST_WORDS)

    @property
    def headers(self):
        """Headers of the answer."""
        if self.retry_s is None:
            return {}
        return {"Retry-After": str(self.retry_s)}


def unusable(error, path, name) -> Refused:
    """What is wrong with an upload, without where it lies on the disk.

    Args:
        error: What the reader of videos or the model says.
        path: The file.
        name: What its owner calls it.

    Examples:
        >>> from tfdecomp.serving.refusals import unusable
        >>> error = ValueError("/tmp/x/input.mp4 is empty")
        >>> print(unusable(error, "/tmp/x/input.mp4", "fish.mp4"))
        fish.mp4 is empty
    """
    return Refused(422, str(error).replace(str(path), name))


def draining() -> Refused:
    """The answer of a server that is about to stop."""
    return Refused(
        503, "the server is about to stop; ask again later", retry_s=30
    )
