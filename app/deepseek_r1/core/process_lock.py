"""Locks a child process: no network, no other programs, and only the files that it needs.

It handles what strangers have made, so the system takes away what hostile code would want; what a
kind of process keeps is in the table of `core.processes`. Linux only:

- `lock_process`, before the first thread is started: root keeps no capability but those to open
  other users' files and to lock memory, since others lead past Landlock. seccomp refuses system
  calls for sockets, tracing, other processes' memory and limits, `unshare`, `setns`, `mount`,
  modules, a file's mode, owner, times and attributes, watching folders, System V's shared memory
  and io_uring (which could do the same past the filter) with EPERM. Landlock refuses to execute any
  file but the interpreter, where the process has children, and from its later versions on TCP and
  signals to processes outside.
- `lock_files`, before a stranger's file is opened: Landlock refuses to read any file but those
  given and the installation's, and to write any but those of the folders that are given.

Source of the filter: Documentation/userspace-api/seccomp_filter.rst of Linux.
"""

import ctypes
import os
import platform
import stat
import struct
import sys
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from pathlib import Path
from typing import Self

from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.paths import catalogue_dir, resources_dir
from deepseek_r1.core.processes import Lock

_CAPABILITY_VERSION = 0x20080522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2 | 1 << 14  # CAP_DAC_OVERRIDE, _DAC_READ_SEARCH, _IPC_LOCK
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_GET_SECCOMP = 38, 22, 21
_SECCOMP_MODE_FILTER = 2
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}  # numbers of the call that takes flags
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 1 << 2  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of the filter
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16  # in `seccomp_data`
_X32 = 0x40000000  # numbers of another calling convention of x86-64

_CONNECTING = {"socket", "connect", "bind"}  # the resolver binds a socket of the kernel's
_SERVING = {"accept", "accept4", "listen"}  # on a socket that is there already

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*
# The numbers of the refused calls on x86-64 and on AArch64; None where the system has no such call.
_REFUSED = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "kexec_load": (246, 104), "reboot": (169, 142),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "setns": (308, 268), "unshare": (272, 97), "open_by_handle_at": (304, 265),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    # What Landlock leaves of other files: who may use them, their times and names.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    # Memory, semaphores and messages that are shared by number or name.
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
    "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
}  # fmt: skip
# Refused unless an argument is 0: another process's limits (the argument is the process), and the
# times of a file by its path (the argument is the path; without, it is an open file's).
_REFUSED_UNLESS_0 = {"prlimit64": ((302, 261), 0), "utimensat": ((280, 88), 1)}

# Landlock: numbers of system calls, rights on files, and the versions that brought them.
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

# What the interpreter and the libraries read while they run, beside their own folders.
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo",
           "/usr/share/locale", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom",
           "/proc", "/sys")  # fmt: skip
# What is read to find a server and to check its certificate. Whole folders, since the files are
# replaced while the computer changes from one network to another; some systems have links there.
_NETWORK = ("/etc", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl/certs", "/etc/ssl/cert.pem",
            "/etc/ssl/certs/ca-certificates.crt", "/run/systemd/resolve", "/run/resolvconf",
            "/run/NetworkManager", "/run/nscd",
            "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki",
            "/usr/share/crypto-policies", "/var/lib/ca-certificates")  # fmt: skip
_RESOLVER = "/etc/resolv.conf"
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_LIBRARY_VARIABLES = ("LD_LIBRARY_PATH", "LLAMA_CPP_LIB_PATH", "PYTHONPYCACHEPREFIX")

SECCOMP = N_("system calls (seccomp)")
LANDLOCK = N_("files and signals (Landlock)")
TRUNCATION = N_("truncating other files (Linux 6.2)")
SIGNALS = N_("signals to other programs (Linux 6.12)")


def lock_process(lock: Lock) -> tuple[str, ...]:
    """Lock the calling thread and those that it will start, but for what `lock` keeps.

    Returns the parts that this system does not have: of `SECCOMP` and `LANDLOCK`.
    """
    if lock.everything:
        return ()
    if sys.platform != "linux":
        return SECCOMP, LANDLOCK
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return SECCOMP, LANDLOCK
    _drop_capabilities(libc)
    executables = _executables() if lock.starts_children else ()
    missing = () if _restrict_execution(executables, connects=lock.connects) else (LANDLOCK,)
    allowed = (_CONNECTING if lock.connects else set()) | (_SERVING if lock.serves else set())
    return missing if _filter_calls(libc, allowed) else (*missing, SECCOMP)


def missing_parts() -> tuple[str, ...]:
    """Return the parts that this system does not have, without locking anything.

    Besides `SECCOMP` and `LANDLOCK`, what an old version of Landlock cannot refuse.
    """
    if sys.platform != "linux":
        return SECCOMP, LANDLOCK
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = platform.machine() in _ARCHITECTURES and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    return (*missing_of_landlock(landlock_version()), *(() if seccomp else (SECCOMP,)))


def missing_of_landlock(version: int) -> tuple[str, ...]:
    """The parts that this version of Landlock does not have; 0 is none."""
    if version < 1:
        return (LANDLOCK,)
    truncates = version >= TRUNCATE_FROM_VERSION
    signals = version >= SCOPES_FROM_VERSION
    return (*(() if truncates else (TRUNCATION,)), *(() if signals else (SIGNALS,)))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Only root has any. Raises OSError."""
    head = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    held = ctypes.create_string_buffer(24)  # effective, permitted, inheritable: low words, high
    if libc.capget(head, held):
        raise OSError(ctypes.get_errno(), "capget")
    permitted = struct.unpack("=6I", held.raw)[1] & _KEPT_CAPABILITIES
    if libc.capset(head, struct.pack("=6I", permitted, permitted, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "capset")


def _filter_calls(libc: ctypes.CDLL, allowed: Collection[str]) -> bool:
    """Refuse all calls of `_REFUSED` but those `allowed`; False where the processor is unknown."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return False
    column = list(_ARCHITECTURES).index(platform.machine())
    columns = [each[column] for name, each in _REFUSED.items() if name not in allowed]
    refused = [number for number in columns if number is not None]
    by_argument = []
    for numbers, argument in _REFUSED_UNLESS_0.values():
        low = _ARGUMENTS_OFFSET + 8 * argument
        by_argument += [
            (_EQUAL, 0, 6, numbers[column]),
            (_LOAD, 0, 0, low),
            (_EQUAL, 0, 3, 0),
            (_LOAD, 0, 0, low + 4),
            (_EQUAL, 0, 1, 0),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ]
    last = len(refused)
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),  # another architecture's calls
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        *by_argument,
        (_AT_LEAST, last + 1, 0, _X32),
        *((_EQUAL, last - i, 0, number) for i, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    return _install_filter(libc, head)


def _install_filter(libc: ctypes.CDLL, program: bytes) -> bool:
    """Put a filter in force; returns whether the system took it.

    Without SECCOMP_FILTER_FLAG_SPEC_ALLOW, Linux before 5.16 also turns on Speculative Store Bypass
    Disable (SSBD) and STIBP for the process, which slows every computation. They keep sandboxed
    code, such as a page's script, from reading the rest of its process. Hostile code would be
    native here, and could read that anyway. Linux before 4.17 does not know the flag.
    """
    number = _SECCOMP_CALL[platform.machine()]
    if not libc.syscall(number, _SET_MODE_FILTER, _SPEC_ALLOW, program):
        return True
    return not libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0)


def landlock_version() -> int:
    """The system's version of Landlock; 0 or less where there is none."""
    return int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION))


def _file_rights() -> int:
    """All rights on files that this system's version knows."""
    present = landlock_version()
    later = (right for since, right in _LATER_RIGHTS.items() if present >= since)
    return _FIRST_RIGHTS | sum(later)


class _Ruleset:
    """Rules of Landlock that are collected and then put in force. A context manager.

    A thread's rules hold for it and for the threads and processes that it starts afterwards;
    further rules can only take away more. Paths stand for the files that they name at this moment.
    Source: Documentation/userspace-api/landlock.rst of Linux.
    """

    def __init__(self, rights: int, *, tcp: bool = False, scopes: bool = False) -> None:
        """Take away `rights` on files, where no rule of `allow` gives them.

        And, where this version can, TCP; and, as `scopes`, abstract sockets of and signals to
        processes outside. Raises OSError.
        """
        present = landlock_version()
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


def _restrict_this_thread(descriptor: int) -> int:
    """Put a ruleset in force for the calling thread, in a process without others; or an errno."""
    return 0 if _libc().syscall(_RESTRICT_SELF, descriptor, 0) == 0 else ctypes.get_errno()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)


def _restrict_execution(executables: Iterable[Path], *, connects: bool) -> bool:
    least = REFER_FROM_VERSION if connects else 1  # version 1 never lets a file be moved
    if landlock_version() < least:
        return False
    rights = EXECUTE | (REFER if connects else 0)
    with _Ruleset(rights, tcp=not connects, scopes=True) as rules:
        rules.allow(executables, EXECUTE)
        if connects:
            rules.allow((Path("/"),), REFER)
        rules.restrict_this_thread()
    return True


def _executables() -> set[Path]:
    """The interpreter, and the loader that the system starts it with."""
    loaders = [*Path("/lib64").glob("ld-*.so*"), *Path("/lib").glob("ld-*.so*")]
    found = [Path(sys.executable), *loaders]
    return {path.resolve() for path in found if path.is_file()}


def lock_files(
    reads: Iterable[Path],
    writes: Iterable[Path],
    restrict: Callable[[int], int],
    devices: Iterable[Path] = (),
) -> bool:
    """Take away all files but these from all threads; after `lock_process`.

    The installation and `reads` can be read; in the folders `writes` everything can be done;
    `devices` can be read, written and controlled. A folder or file has to exist by now. `restrict`
    puts a ruleset, by its descriptor, in force for every thread of the process, and returns 0 or an
    errno: `native().restrict_threads`. Returns False where the system has no Landlock. Raises
    EngineStartFailed where it refuses the rules.
    """
    if sys.platform != "linux" or landlock_version() < 1:
        return False
    rights = _file_rights() & ~EXECUTE  # which `lock_process` has taken away
    try:
        with _Ruleset(rights) as rules:
            rules.allow((*_installation(), *reads), READ)
            rules.allow(writes, CHANGE)
            rules.allow(devices, READ | WRITE_FILE | IOCTL_DEV)
            rules.allow((Path(os.devnull),), READ_FILE | WRITE_FILE)
            if failed := restrict(rules.descriptor):
                raise OSError(failed, os.strerror(failed))
    except OSError as error:
        from deepseek_r1.core.errors import EngineStartFailed  # noqa: PLC0415 - it loads pydantic

        detail = tr("The sandbox could not be set up: {reason}.", reason=error.strerror)
        raise EngineStartFailed(detail=detail) from error
    return True


def lock_without_files(lock: Lock) -> None:
    """Lock a process that has one thread, and needs no file but the installation's."""
    if LANDLOCK not in lock_process(lock):
        lock_files((), (), _restrict_this_thread)


def network_files() -> set[Path]:
    """The folders and files that finding a server and checking its certificate takes."""
    return _paths(*_NETWORK, str(Path(_RESOLVER).resolve().parent), also=_CERTIFICATE_VARIABLES)


def _installation() -> set[Path]:
    """The folders of the interpreter, of the libraries and of our own files."""
    python = (sys.prefix, sys.base_prefix, getattr(sys, "_MEIPASS", ""), *sys.path)
    own = (str(resources_dir()), str(catalogue_dir()))
    # A bundle's executable, beside its folder, reads itself when it starts.
    return _paths(*_SYSTEM, *python, *own, sys.executable, also=_LIBRARY_VARIABLES)


def _paths(*places: str, also: Iterable[str]) -> set[Path]:
    """The places and those that variables of the environment list; never the root."""
    listed = (os.environ.get(name, "").split(os.pathsep) for name in also)
    found = {Path(place) for place in (*places, *chain.from_iterable(listed)) if place}
    return found - {Path("/")}
