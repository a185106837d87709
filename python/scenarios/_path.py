"""Lets a scenario that is run as a script find `salver_testing`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
