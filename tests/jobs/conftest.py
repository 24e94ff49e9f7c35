"""Lets the tests of this folder share what they make."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
