"""Errors of the store, and the translation of SQLite's errors into them.

`user_error` is the one place that decides: the user's world (a full disk, a locked file, a damaged
database) becomes an `R1Error` that a person can act on; everything else is a bug of ours and is
left as the exception it is.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_


class StoreError(R1Error):
    """Base of what the store tells a user."""

    what = N_("Your chats could not be read or saved.")
    exit_code = 5


class StoreFull(StoreError):
    what = N_("Your chats could not be saved: the drive is full.")
    why = N_("There is no space left for {path}.")
    todo = N_("Free some space and try again. What was saved before is safe.")


class StoreReadOnly(StoreError):
    what = N_("Your chats can be read but not changed.")
    why = N_("The system does not allow writing to {path}.")
    todo = N_("Check the permissions of this folder, or choose another profile folder.")


class StoreDamaged(StoreError):
    what = N_("The file with your chats is damaged.")
    why = N_("The database reports: {detail}.")
    todo = N_("Restart R1 Desk: it keeps a copy of {path} and recovers the rest.")


class StoreLocked(StoreError):
    what = N_("Another program is using the file with your chats.")
    why = N_("{path} is locked, perhaps by a backup, a virus scan or a second window.")
    todo = N_("Close that program, or wait a moment and try again.")


class StoreNewer(StoreError):
    what = N_("Your chats were saved by a newer version of R1 Desk.")
    why = N_("{path} has format {found}; this version knows the formats up to {known}.")
    todo = N_("Update R1 Desk. Nothing was changed.")


class StoreFailed(StoreError):
    what = N_("The drive failed while reading or saving your chats.")
    why = N_("The system reports for {path}: {detail}.")
    todo = N_("Check that the drive is connected and healthy, then try again.")


class ArchiveUnreadable(StoreError):
    what = N_("There is nothing to import in this file.")
    why = N_("What was found: {detail}.")
    todo = N_(
        "Choose an export of R1 Desk, ChatGPT, Open WebUI, LM Studio or Jan. Nothing was changed."
    )


class ImportStopped(StoreError):
    what = N_("The import was stopped.")
    why = N_("Nothing was changed.")


class ArchiveNotRead(StoreError):
    what = N_("The file could not be read.")
    why = N_("The system reports for {path}: {detail}.")
    todo = N_("Check that the file is there and may be read. Nothing was changed.")


class ArchiveNotWritten(StoreError):
    what = N_("The export could not be written.")
    why = N_("The system reports for {path}: {detail}.")
    todo = N_("Choose another folder, or free some space there.")


class ProfileInUse(StoreError):
    what = N_("This profile is already open in another window.")
    why = N_("R1 Desk is already running with {path}.")
    todo = N_("Use the window that is open, or close it first.")


_FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READONLY_ERRNO = {errno.EROFS, errno.EACCES, errno.EPERM}
_CAUSES: dict[type[StoreError], tuple[type[Exception], ...]] = {
    StoreFull: (apsw.FullError,),
    StoreDamaged: (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError),
    StoreReadOnly: (apsw.ReadOnlyError, apsw.PermissionsError, apsw.AuthError),
    StoreLocked: (apsw.BusyError, apsw.LockedError, apsw.ProtocolError),
    StoreFailed: (apsw.IOError, apsw.CantOpenError, apsw.NoLFSError, apsw.TooBigError, OSError),
}


def user_error(problem: BaseException, path: Path) -> R1Error | None:
    """`problem` as something to tell the user, or None where it is a bug of ours."""
    if isinstance(problem, R1Error):
        return problem
    number = problem.errno if isinstance(problem, OSError) else None
    if number in _FULL_ERRNO:
        return StoreFull(path=str(path))
    if number in _READONLY_ERRNO:
        return StoreReadOnly(path=str(path))
    detail = " ".join(str(problem).split()) or type(problem).__name__
    kind = next((kind for kind, causes in _CAUSES.items() if isinstance(problem, causes)), None)
    return kind(path=str(path), detail=detail) if kind is not None else None


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Raise what `user_error` makes of an exception; bugs pass unchanged."""
    try:
        yield
    except (apsw.Error, OSError, UnicodeDecodeError) as problem:
        translated = user_error(problem, path)
        if translated is None:
            raise
        raise translated from problem
