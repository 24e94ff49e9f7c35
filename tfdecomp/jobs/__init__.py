"""Many videos, many seeds: the same work on several processes."""
