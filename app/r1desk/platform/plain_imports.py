"""Imported before anything else of Qt, this gives Python its own `import` back.

PySide6 replaces it to find modules that ask for `__feature__`, which nothing here does: it reads
the source of every module that is imported after it and keeps the lines for ever. They took 14 MiB
of the window's memory and a fifth of the time of its imports.
"""

import builtins

import PySide6  # noqa: F401 - it replaces `import`

builtins.__import__ = getattr(builtins, "__orig_import__", builtins.__import__)
