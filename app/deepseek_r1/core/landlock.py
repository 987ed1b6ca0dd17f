"""Landlock of Linux: a process gives up files, TCP and signals by rules that it cannot take back.

A thread's rules hold for it and for the threads and processes that it starts afterwards; further
rules can only take away more. Paths stand for the files that they name at this moment.
Source: Documentation/userspace-api/landlock.rst of Linux.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Self

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on every processor
_GET_VERSION, _PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REG = 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
READ = READ_FILE | READ_DIR
CHANGE = READ | WRITE_FILE | TRUNCATE | REMOVE_FILE | REMOVE_DIR | MAKE_DIR | MAKE_REG | REFER
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # the others are of folders
_FIRST_RIGHTS = (1 << 13) - 1
REFER_FROM_VERSION, TRUNCATE_FROM_VERSION = 2, 3
_LATER_RIGHTS = {REFER_FROM_VERSION: REFER, TRUNCATE_FROM_VERSION: TRUNCATE, 5: IOCTL_DEV}
_TCP, _TCP_FROM_VERSION = 0b11, 4  # bind and connect
_SCOPES, SCOPES_FROM_VERSION = 0b11, 6  # abstract sockets, and signals to processes outside


def version() -> int:
    """The system's version of Landlock; 0 or less where there is none."""
    return int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION))


def file_rights() -> int:
    """All rights on files that this system's version knows."""
    present = version()
    later = (right for since, right in _LATER_RIGHTS.items() if present >= since)
    return _FIRST_RIGHTS | sum(later)


class Ruleset:
    """Rules that are collected and then put in force. A context manager."""

    def __init__(self, rights: int, *, tcp: bool = False, scopes: bool = False) -> None:
        """Take away `rights` on files, where no rule of `allow` gives them.

        And, where this version can, TCP; and, as `scopes`, abstract sockets of and signals to
        processes outside. Raises OSError.
        """
        present = version()
        self._rights = rights
        attributes = struct.pack("=Q", rights)
        if present >= _TCP_FROM_VERSION:
            attributes += struct.pack("=Q", _TCP if tcp else 0)
        if present >= SCOPES_FROM_VERSION:
            attributes += struct.pack("=Q", _SCOPES if scopes else 0)
        size = ctypes.c_size_t(len(attributes))
        self.descriptor = _checked(_libc().syscall(_CREATE_RULESET, attributes, size, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.descriptor)

    def allow(self, paths: Iterable[Path], rights: int) -> None:
        """Give `rights` on files, and on everything in folders.

        What does not exist or cannot be opened has no rule. Raises OSError.
        """
        for path in paths:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            try:
                folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
                given = rights & self._rights & (~0 if folder else _OF_FILES)
                rule = struct.pack("=Qi", given, descriptor)
                if given:  # an empty rule is an error
                    _checked(_libc().syscall(_ADD_RULE, self.descriptor, _PATH_BENEATH, rule, 0))
            finally:
                os.close(descriptor)

    def restrict_this_thread(self) -> None:
        """Put the rules in force for the calling thread. Raises OSError."""
        _checked(_libc().syscall(_RESTRICT_SELF, self.descriptor, 0))


def restrict_this_thread(descriptor: int) -> int:
    """Put a ruleset in force for the calling thread, in a process without others; or an errno."""
    return 0 if _libc().syscall(_RESTRICT_SELF, descriptor, 0) == 0 else ctypes.get_errno()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
