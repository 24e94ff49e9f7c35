"""Lets the reference show examples as code.

Ours stand under "Example:", which the reader of docstrings takes for a note:
`>>>` would become quotations.
"""

import re

import griffe

_HEAD = re.compile(r"^( *)Example:$", re.M)


class Examples(griffe.Extension):
    """Renames the section in every docstring."""

    def on_instance(self, *, obj, **kwargs):
        """Called for each module, class, function and attribute."""
        del kwargs
        if obj.docstring:
            obj.docstring.value = _HEAD.sub(r"\1Examples:", obj.docstring.value)
