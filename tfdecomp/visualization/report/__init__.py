"""A report of tracks: one page that needs nothing but itself."""

from tfdecomp.visualization.report.page import (
    COLUMNS,
    LEVELS,
    Doubtful,
    TrackTable,
    doubtful_csv,
    render,
    thumbnail_plan,
)

__all__ = [
    "COLUMNS",
    "LEVELS",
    "Doubtful",
    "TrackTable",
    "doubtful_csv",
    "render",
    "thumbnail_plan",
]
