"""Polyominoes: sets of cells of a square lattice, and how pieces cover them.

A cell is `(row, column)`; a piece is a tuple of cells whose bounding box
starts at `(0, 0)`, in the order of rows.
"""

# The 19 one-sided orientations of four connected cells; ids count from 1 as
# in the published Tetrominoes. Rows are separated by "/".
TETROMINOES = (
    "1111",
    "1/1/1/1",
    "111/100",
    "100/111",
    "001/111",
    "111/001",
    "11/01/01",
    "01/01/11",
    "11/10/10",
    "10/10/11",
    "110/011",
    "011/110",
    "01/11/10",
    "10/11/01",
    "010/111",
    "111/010",
    "01/11/01",
    "10/11/10",
    "11/11",
)


def parse(text):
    """The cells of a drawing such as `"010/111"`."""
    return tuple(
        (row, column)
        for row, line in enumerate(text.split("/"))
        for column, mark in enumerate(line)
        if mark == "1"
    )


def grow(rng, count, side):
    """A random connected set of cells.

    Starts at a random cell and adds one of the neighbours again and again,
    each with equal probability.

    Args:
        rng: Generator.
        count: Number of cells.
        side: Side of the square that holds them.

    Returns:
        A frozenset of cells.
    """
    cells = {tuple(int(i) for i in rng.integers(side, size=2))}
    while len(cells) < count:
        edge = sorted(
            {
                (row, column)
                for r, c in cells
                for row, column in (
                    (r - 1, c),
                    (r, c - 1),
                    (r, c + 1),
                    (r + 1, c),
                )
                if 0 <= row < side and 0 <= column < side
            }
            - cells
        )
        cells.add(edge[rng.integers(len(edge))])
    return frozenset(cells)


def covers(cells, pieces):
    """All ways to cover cells with pieces that do not overlap.

    Args:
        cells: A set of cells.
        pieces: Id to piece; each may be used any number of times.

    Returns:
        A list of covers; each is a tuple of `(id, (row, column))`, the second
        the corner of the piece's bounding box, in the order of first cells.
    """
    if not cells:
        return [()]
    first = min(cells)
    found = []
    for name, piece in pieces.items():
        # The first cell of all is the first one of the piece that covers it.
        row, column = first[0] - piece[0][0], first[1] - piece[0][1]
        taken = {(row + r, column + c) for r, c in piece}
        if taken <= cells:
            rest = covers(cells - taken, pieces)
            found += [((name, (row, column)), *others) for others in rest]
    return found
