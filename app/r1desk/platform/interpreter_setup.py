"""Imported first, this sets Python up for the window's process.

`hashlib` uses Python's own functions in place of OpenSSL's. OpenSSL takes four MiB of the window's
memory, and pydantic would load it: it imports `secrets`. The window itself hashes no more than a
path; downloads are hashed by the network's process.

Pydantic looks for no plugins: it would read the metadata of every installed package.

The cycle collector is disabled until `MainThreadCollector` runs it. While modules are imported
nearly all that is allocated stays, and walking it would take a tenth of the start.
"""

import gc
import os
import sys

sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]  # so the import fails
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
gc.disable()
