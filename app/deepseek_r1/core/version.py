"""The version of the library and of the application."""

from __future__ import annotations

VERSION = "0.1.0"
