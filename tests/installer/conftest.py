"""The scripts below installer/ are run, not installed: the tests find them by their folders."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "installer" / name) for name in (".", "bundle", "linux")]
