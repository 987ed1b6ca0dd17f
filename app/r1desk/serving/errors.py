"""Errors of the server in the window."""

from __future__ import annotations

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_


class NoMemoryForServer(R1Error):
    """The budget has no room for the server's process."""

    what = N_("The server needs {need} MiB of the memory budget, and {left} MiB are left.")
    todo = N_("Raise the memory budget by {more} MiB, or choose a smaller model.")


class ServerEnded(R1Error):
    """The server's process ended without being asked to."""

    what = N_("The server ended with status {status}. {detail}")
    todo = N_("Switch it on again.")


class ServerLibrariesMissing(R1Error):
    """The optional libraries are not installed."""

    what = N_("The server's libraries are missing.")
    todo = N_("Install them: pip install 'r1desk[serve]'.")
