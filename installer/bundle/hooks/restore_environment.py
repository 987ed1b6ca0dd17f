"""Runs in the bundle before anything else: programs we start must not get our libraries.

PyInstaller's starter puts the bundle's folder on the library path and keeps the former value beside
it. Our own libraries are found by then; a browser that we start would load them and fail.
"""

import os

for name in ("LD_LIBRARY_PATH", "LIBPATH"):
    former = os.environ.pop(name + "_ORIG", None)
    if former is not None:
        os.environ[name] = former
    else:
        os.environ.pop(name, None)
