"""CLEVRER: videos, annotations, proposals of masks, masks."""
