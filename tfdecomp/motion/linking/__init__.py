"""Which detection is whom: from the past alone, or looking back."""

from tfdecomp.motion.linking.whole_video import Linker, episodes, link

__all__ = ["Linker", "episodes", "link"]
