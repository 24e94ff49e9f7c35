"""Pickles read as data: what a file would call is looked at, never called.

A pickle is a program for a small stack machine. This is that machine with the
few instructions that a dictionary of tensors needs, and without the means to
import or to run anything: a name stays a name, and a call of it becomes a
record of the call.
"""

import dataclasses
import pickletools

from tfdecomp.importing.errors import ImportRefusedError

_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_VALUES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 BINFLOAT FLOAT UNICODE "
    "BINUNICODE SHORT_BINUNICODE BINUNICODE8 STRING BINSTRING SHORT_BINSTRING "
    "BINBYTES SHORT_BINBYTES".split()
)
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MOST_INSTRUCTIONS = 200_000  # a tensor takes about forty


class _Mark:
    """Where a list of values begins on the stack."""

    def __repr__(self):
        return "a mark"


_MARK = _Mark()


@dataclasses.dataclass(frozen=True)
class Name:
    """A class or function that a pickle names, such as `torch.Size`."""

    path: str


@dataclasses.dataclass
class Call:
    """What a pickle would make by a call.

    Attributes:
        path: Name of what it would call.
        arguments: Tuple.
        content: Dictionary that it would fill the result with.
    """

    path: str
    arguments: tuple
    content: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Persistent:
    """What a pickle refers to outside of itself, such as a storage."""

    key: object


def read(file, known, path):
    """Reads one pickle.

    Args:
        file: Binary file; afterwards it stands behind the pickle.
        known: Names that may be called, such as `collections.OrderedDict`.
        path: Of the file, for messages.

    Returns:
        Its value: plain Python, with `Call`s, `Name`s and `Persistent`s.

    Raises:
        ImportRefusedError: If it would call anything else, or is damaged.
    """
    machine = _Machine(known, path)
    try:
        for i, (operation, argument, _) in enumerate(pickletools.genops(file)):
            if i == _MOST_INSTRUCTIONS:
                raise ValueError("names and shapes do not take as many steps")
            machine.run(operation.name, argument)
        (value,) = machine.stack
    except ImportRefusedError:
        raise
    # What damaged instructions lead to is of many kinds.
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise ImportRefusedError(
            f"{path} is no pickle, or damaged ({error}); fetch it again"
        ) from error
    return value


class _Machine:
    def __init__(self, known, path):
        self.known, self.path = known, path
        self.stack, self.memo = [], {}

    def run(self, name, argument):
        """Runs one instruction."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _SHORT_TUPLES:
            count = _SHORT_TUPLES[name]
            if len(self.stack) < count:
                raise ValueError("a tuple lacks its values")
            values = tuple(self.stack[-count:])
            self.stack[-count:] = [values]
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[int(argument)])
        elif name == "GLOBAL":
            self.stack.append(Name(argument.replace(" ", ".", 1)))
        else:
            action = getattr(self, f"_{name.lower()}", None)
            if action is None:
                raise ImportRefusedError(
                    f"the pickle in {self.path} has the instruction {name}, "
                    "which a dictionary of tensors does not need; nothing of "
                    "it was run. Expected the checkpoint as it was published"
                )
            action()

    def _proto(self):
        pass

    def _frame(self):
        pass

    def _stop(self):
        pass

    def _mark(self):
        self.stack.append(_MARK)

    def _pop(self):
        self.stack.pop()

    def _memoize(self):
        self.memo[len(self.memo)] = self.stack[-1]

    def _stack_global(self):
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Name(f"{module}.{name}"))

    def _empty_dict(self):
        self.stack.append({})

    def _empty_list(self):
        self.stack.append([])

    def _tuple(self):
        self.stack.append(tuple(self._marked()))

    def _list(self):
        self.stack.append(self._marked())

    def _dict(self):
        self.stack.append(self._pairs(self._marked()))

    def _append(self):
        value = self.stack.pop()
        self._list_on_top().append(value)

    def _appends(self):
        values = self._marked()
        self._list_on_top().extend(values)

    def _setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._dict_on_top().update(self._pairs([key, value]))

    def _setitems(self):
        values = self._marked()
        self._dict_on_top().update(self._pairs(values))

    def _binpersid(self):
        self.stack.append(Persistent(self.stack.pop()))

    def _reduce(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        path = getattr(function, "path", type(function).__name__)
        if not isinstance(function, Name) or path not in self.known:
            raise ImportRefusedError(
                f"the pickle in {self.path} would call {path}; nothing of it "
                "was run. Expected a dictionary of tensors, which calls "
                f"{', '.join(sorted(self.known))} alone"
            )
        self.stack.append(Call(path, tuple(arguments)))

    def _build(self):
        """What an object is filled with, such as a dictionary's notes."""
        self.stack.pop()

    @staticmethod
    def _pairs(values):
        """Keys and values in turn, as a dictionary."""
        keys = values[::2]
        # The hash of tuples within tuples can take forever.
        if not all(isinstance(key, (str, int)) for key in keys):
            raise TypeError("a key of a dictionary is no name")
        return dict(zip(keys, values[1::2]))

    def _marked(self):
        """What was put on the stack since the last mark, taken from it."""
        if not any(value is _MARK for value in self.stack):
            raise ValueError("values are taken that nothing marks")
        start = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def _dict_on_top(self):
        top = self.stack[-1]
        if isinstance(top, Call):
            return top.content
        if not isinstance(top, dict):
            raise TypeError("a key goes into what is no dictionary")
        return top

    def _list_on_top(self):
        top = self.stack[-1]
        if not isinstance(top, list):
            raise TypeError("a value goes into what is no list")
        return top
