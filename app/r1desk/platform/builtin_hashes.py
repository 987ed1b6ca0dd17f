"""Imported first, this makes `hashlib` use Python's own functions in place of OpenSSL's.

OpenSSL takes four MiB of the window's memory, and pydantic would load it: it imports `secrets`. The
window itself hashes no more than a path; downloads are hashed by the network's process.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]  # so the import fails
