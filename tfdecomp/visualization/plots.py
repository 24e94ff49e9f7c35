"""Plots of numbers: curves with quartiles, and maps of points."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfdecomp.visualization import palette

_INCHES = 3.2  # side of a panel
_DPI = 100
_NUMBERED = 8  # rows of a heat map whose cells have room for numbers


def curves(panels, x, x_label, marks=(), columns=None) -> np.ndarray:
    """A panel for each quantity: medians as lines, quartiles as bands.

    A curve goes straight over places where it is NaN.

    Args:
        panels: Title to `{name of curve: (low, middle, high)}`, each `[X]`.
        x: `[X]` whole numbers.
        x_label: What `x` is.
        marks: Places on the x axis to mark by a dotted line.
        columns: Panels in a row, with the names of the curves in a place of
            their own after the last panel; by default all panels are in one
            row, with names in each.

    Returns:
        `[h, w, 3]` uint8.
    """
    count = len(panels) + (columns is not None)
    figure, axes = _panels(count, columns or count)
    x = np.asarray(x)
    for axis, (title, lines) in zip(axes, panels.items()):
        colors = _colors(len(lines))
        for color, (name, curve) in zip(colors, lines.items()):
            known = ~np.isnan(np.asarray(curve, float)).any(0)
            at, (low, middle, high) = x[known], np.asarray(curve)[:, known]
            axis.fill_between(at, low, high, color=color, alpha=0.25, lw=0)
            axis.plot(at, middle, color=color, marker=".", label=name)
        for mark in marks:
            axis.axvline(mark, color="0.5", ls=":", lw=1)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(x_label, fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(lines) > 1 and columns is None:
            axis.legend(fontsize=7)
    if columns is not None:
        axes[-1].set_axis_off()
        names = axes[0].get_legend_handles_labels()
        legend = axes[-1].legend(*names, fontsize=7, loc="center")
        legend.set_in_layout(False)
    return _drawn(figure)


def scatter(panels, points, columns=3) -> np.ndarray:
    """The same points in every panel, coloured in different ways.

    Args:
        panels: Title to colours: `[N, 3]` in `[0, 1]`, or `[N]` numbers for a
            scale of colours, or `[N]` integers for a colour each; entries
            that are NaN or below 0 are drawn small and grey.
        points: `[N, 2]`, or title to `[N, 2]`.
        columns: Panels in a row.

    Returns:
        `[h, w, 3]` uint8.
    """
    figure, axes = _panels(len(panels), columns)
    for axis, (title, values) in zip(axes, panels.items()):
        here = points[title] if isinstance(points, dict) else points
        _scatter(figure, axis, np.asarray(values), np.asarray(here))
        axis.set_title(title, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    return _drawn(figure)


def _scatter(figure, axis, values, points):
    known = np.ones(len(values), bool)
    if values.ndim == 1:
        known = ~np.isnan(values.astype(float)) & (values >= 0)
        if np.issubdtype(values.dtype, np.floating):
            known = ~np.isnan(values)
    rest = points[~known]
    axis.scatter(rest[:, 0], rest[:, 1], s=3, color="0.8", lw=0)
    values, points = values[known], points[known]
    options = {"s": 9, "lw": 0}
    if values.ndim == 2:
        axis.scatter(*points.T, c=values, edgecolors="0.6", s=12, lw=0.3)
    elif np.issubdtype(values.dtype, np.integer):
        colors = _colors(int(values.max(initial=0)) + 1)
        axis.scatter(*points.T, c=colors[values], **options)
    else:
        drawn = axis.scatter(*points.T, c=values, cmap="viridis", **options)
        figure.colorbar(drawn, ax=axis).ax.tick_params(labelsize=7)


def trajectories(points, groups, labels, paths=None) -> np.ndarray:
    """Points in the plane, coloured by group, and some ways to them.

    Args:
        points: `[N, 2]`.
        groups: `[N]` integers from 0.
        labels: Name of each group.
        paths: Name to `[R, 2]`; drawn as lines that end in their names.

    Returns:
        `[h, w, 3]` uint8.
    """
    figure, (axis,) = _panels(1, 1, 1.5)
    colors = _colors(len(labels))
    for group in np.unique(groups):
        some = points[groups == group]
        axis.scatter(*some.T, color=colors[group], s=14, label=labels[group])
    for name, path in (paths or {}).items():
        axis.plot(*path.T, color="0.2", marker=".", ms=3, lw=0.8)
        axis.annotate(name, path[-1], fontsize=9, weight="bold")
    axis.legend(fontsize=7)
    axis.set_xlabel("first component", fontsize=9)
    axis.set_ylabel("second component", fontsize=9)
    return _drawn(figure)


def heat_maps(panels, names, axis_labels) -> np.ndarray:
    """Matrices of groups by groups; white is 0, red above it, blue below.

    Args:
        panels: Title to `(matrix [n s, n s], s)`, n groups with s rows and
            columns each. Cells of small matrices have their number in them.
        names: Names of the groups.
        axis_labels: What columns and rows are.

    Returns:
        `[h, w, 3]` uint8.
    """
    figure, axes = _panels(len(panels), len(panels), 1.25)
    for axis, (title, (matrix, size)) in zip(axes, panels.items()):
        matrix = np.asarray(matrix)
        limit = max(np.abs(matrix).max(), 1e-6)
        drawn = axis.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
        bar = figure.colorbar(drawn, ax=axis, fraction=0.046, pad=0.04)
        bar.ax.tick_params(labelsize=7)
        if len(matrix) <= _NUMBERED:
            for (i, j), value in np.ndenumerate(matrix):
                color = "w" if abs(value) > 0.6 * limit else "k"
                axis.text(
                    j,
                    i,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=color,
                )
        for edge in size * np.arange(1, len(names)) - 0.5:
            axis.axhline(edge, color="k", lw=0.8)
            axis.axvline(edge, color="k", lw=0.8)
        middles = size * np.arange(len(names)) + 0.5 * (size - 1)
        axis.set_xticks(middles, names, rotation=45 if len(names) > 4 else 0)
        axis.set_yticks(middles, names, rotation=0, va="center")
        axis.tick_params(length=0)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(axis_labels[0], fontsize=9)
        axis.set_ylabel(axis_labels[1], fontsize=9)
    return _drawn(figure)


def _colors(count):
    return palette.slot_colors(max(count, 1)) / 255.0


def _panels(count, columns, scale=1.0):
    columns = min(columns, count)
    rows = -(-count // columns)
    side = _INCHES * scale
    figure = Figure((side * columns, side * rows), dpi=_DPI)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    for axis in axes:
        axis.tick_params(labelsize=8)
    return figure, axes


def _drawn(figure):
    canvas = FigureCanvasAgg(figure)
    figure.tight_layout()
    canvas.draw()
    picture = np.array(canvas.buffer_rgba())[..., :3]
    height, width = (side - side % 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, :width])
