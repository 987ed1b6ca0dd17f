"""Notices about the application itself: its store, its preferences, its bugs."""

from pathlib import Path

from deepseek_r1.core.i18n import tr
from r1desk.store import Opening, StoreFull
from r1desk.widgets.notice_bar import Level, Notice

PREFERENCES = "preferences"  # not saved, as long as that is so


def unexpected(detail: str, profile: Path) -> Notice:
    """Report a bug of the application."""
    text = tr(
        "Something went wrong in R1 Desk ({detail}). Your chats are saved. Details are "
        "in the log in {folder}.",
        detail=detail,
        folder=str(profile / "logs"),
    )
    return Notice(text, Level.ERROR)


def store_opened(opening: Opening, profile: Path) -> Notice | None:
    """Report a damaged or read-only store; None for a sound one."""
    if opening.problem is not None:
        return Notice(view_only(opening, profile), Level.WARNING)
    if opening.set_aside is None:
        return None
    text = tr(
        "The file with your chats was damaged. What could be read was kept; the "
        "damaged file is now {file}.",
        file=opening.set_aside.name,
    )
    return Notice(text, Level.WARNING)


def view_only(opening: Opening, profile: Path) -> str:
    """Explain why nothing can be sent; empty where messages can be saved."""
    if opening.problem is None:
        return ""
    if isinstance(opening.problem, StoreFull):
        return tr(
            "The drive of {folder} is full. You can read your chats; to send messages, "
            "free some space and restart R1 Desk.",
            folder=str(profile),
        )
    return tr(
        "{folder} cannot be written to. You can read your chats, but not send "
        "messages, because they could not be saved.",
        folder=str(profile),
    )


def preferences_damaged(set_aside: Path) -> Notice:
    """Report that the preferences could not be read."""
    text = tr(
        "The settings file was damaged, so the defaults are used. The damaged file is now {file}.",
        file=set_aside.name,
    )
    return Notice(text, Level.WARNING)


def preferences_not_saved(error: OSError) -> Notice:
    """Report that the preferences could not be written."""
    text = tr("The settings could not be saved: {reason}.", reason=error.strerror or error)
    return Notice(text, Level.WARNING, topic=PREFERENCES)
