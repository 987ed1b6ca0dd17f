"""Locks the engine's process: no network, no other programs, and only the files of its model.

Native code parses strangers' files in it, so the system takes away what such code would want. The
process that talks to servers is locked in the same way, but may connect; the window's server keeps
the socket on which it listens, starts no program at all and has the installation's files alone.
Linux only:

- `lock_process`, before the first thread is started: root keeps no capability but those to open
  other users' files and to lock memory, since others lead past Landlock. seccomp refuses system
  calls for sockets, tracing, other processes' memory, `unshare`, `setns`, `mount`, modules and
  io_uring (which could do the same past the filter) with EPERM. Landlock refuses to execute any
  file but the interpreter, which the template renderer is, and from its later versions on TCP and
  signals to processes outside.
- `lock_files`, before native code opens the model: Landlock refuses to read any file but the
  model's and the installation's, and to write any but those of the folders that are given.

Source of the filter: Documentation/userspace-api/seccomp_filter.rst of Linux.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.paths import catalogue_dir, resources_dir
from deepseek_r1.hardware import landlock

_CAPABILITY_VERSION = 0x20080522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2 | 1 << 14  # CAP_DAC_OVERRIDE, _DAC_READ_SEARCH, _IPC_LOCK
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_GET_SECCOMP = 38, 22, 21
_SECCOMP_MODE_FILTER = 2
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}  # numbers of the call that takes flags
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 1 << 2  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of the filter
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4  # in `seccomp_data`
_X32 = 0x40000000  # numbers of another calling convention of x86-64

_CONNECTING = (0, 1, 4)  # socket, connect, bind: the resolver binds a socket of the kernel's
_SERVING = (2, 3, 5)  # accept, accept4, listen: on a socket that is there already

# AUDIT_ARCH_*, and the numbers of the refused calls, in the order: socket connect accept accept4
# bind listen ptrace process_vm_readv process_vm_writev pidfd_getfd io_uring_setup bpf
# perf_event_open userfaultfd kexec_load init_module finit_module delete_module mount umount2
# pivot_root chroot setns unshare open_by_handle_at keyctl add_key request_key reboot
_REFUSED = {
    "x86_64": (0xC000003E, (
        41, 42, 43, 288, 49, 50, 101, 310, 311, 438, 425, 321, 298, 323, 246, 175, 313, 176, 165,
        166, 155, 161, 308, 272, 304, 250, 248, 249, 169,
    )),
    "aarch64": (0xC00000B7, (
        198, 203, 202, 242, 200, 201, 117, 270, 271, 438, 425, 280, 241, 282, 104, 105, 273, 106,
        40, 39, 41, 51, 268, 97, 265, 219, 217, 218, 142,
    )),
}  # fmt: skip

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


def lock_process(*, network: bool = False, serves: bool = False) -> tuple[str, ...]:
    """Lock the calling thread and those that it will start.

    With `network` it may connect to servers, and move files from one folder to another. With
    `serves` it goes on serving on a socket that is bound already, and starts no program.
    Returns the parts that this system does not have: of `SECCOMP` and `LANDLOCK`.
    """
    if sys.platform != "linux":
        return SECCOMP, LANDLOCK
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return SECCOMP, LANDLOCK
    _drop_capabilities(libc)
    executables = () if serves else _executables()
    missing = () if _restrict_execution(executables, network=network) else (LANDLOCK,)
    allowed = (*(_CONNECTING if network else ()), *(_SERVING if serves else ()))
    return missing if _filter_calls(libc, allowed) else (*missing, SECCOMP)


def missing_parts() -> tuple[str, ...]:
    """Return the parts that this system does not have, without locking anything.

    Besides `SECCOMP` and `LANDLOCK`, what an old version of Landlock cannot refuse.
    """
    if sys.platform != "linux":
        return SECCOMP, LANDLOCK
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = platform.machine() in _REFUSED and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    return (*missing_of_landlock(landlock.version()), *(() if seccomp else (SECCOMP,)))


def missing_of_landlock(version: int) -> tuple[str, ...]:
    """The parts that this version of Landlock does not have; 0 is none."""
    if version < 1:
        return (LANDLOCK,)
    truncates = version >= landlock.TRUNCATE_FROM_VERSION
    signals = version >= landlock.SCOPES_FROM_VERSION
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


def _filter_calls(libc: ctypes.CDLL, allowed: Sequence[int]) -> bool:
    """Refuse all calls of `_REFUSED` but those at the places `allowed`."""
    known = _REFUSED.get(platform.machine())
    if known is None:
        return False
    architecture, all_numbers = known
    numbers = [n for i, n in enumerate(all_numbers) if i not in allowed]
    last = len(numbers)
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_EQUAL, 0, last + 3, architecture),  # another architecture's calls are refused
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_AT_LEAST, last + 1, 0, _X32),
        *((_EQUAL, last - i, 0, number) for i, number in enumerate(numbers)),
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


def _restrict_execution(executables: Iterable[Path], *, network: bool) -> bool:
    least = landlock.REFER_FROM_VERSION if network else 1  # version 1 never lets a file be moved
    if landlock.version() < least:
        return False
    rights = landlock.EXECUTE | (landlock.REFER if network else 0)
    with landlock.Ruleset(rights, tcp=not network, scopes=True) as rules:
        rules.allow(executables, landlock.EXECUTE)
        if network:
            rules.allow((Path("/"),), landlock.REFER)
        rules.restrict_this_thread()
    return True


def _executables() -> set[Path]:
    """The interpreter, and the loader that the system starts it with."""
    loaders = [*Path("/lib64").glob("ld-*.so*"), *Path("/lib").glob("ld-*.so*")]
    found = [Path(sys.executable), *loaders]
    return {path.resolve() for path in found if path.is_file()}


def lock_files(
    reads: Iterable[Path], writes: Iterable[Path], restrict: Callable[[int], int]
) -> bool:
    """Take away all files but these from all threads; after `lock_process`.

    The installation and `reads` can be read; in the folders `writes` everything can be done. A
    folder or file has to exist by now. `restrict` puts a ruleset, by its descriptor, in force for
    every thread of the process, and returns 0 or an errno: `native().restrict_threads`. Returns
    False where the system has no Landlock. Raises EngineStartFailed where it refuses the rules.
    """
    if sys.platform != "linux" or landlock.version() < 1:
        return False
    rights = landlock.file_rights() & ~landlock.EXECUTE  # which `lock_process` has taken away
    try:
        with landlock.Ruleset(rights) as rules:
            rules.allow((*_installation(), *reads), landlock.READ)
            rules.allow(writes, landlock.CHANGE)
            rules.allow((Path(os.devnull),), landlock.READ_FILE | landlock.WRITE_FILE)
            if failed := restrict(rules.descriptor):
                raise OSError(failed, os.strerror(failed))
    except OSError as error:
        detail = tr("It could not be locked: {reason}.", reason=error.strerror)
        raise EngineStartFailed(detail=detail) from error
    return True


def network_files() -> set[Path]:
    """The folders and files that finding a server and checking its certificate takes."""
    places = [*_NETWORK, str(Path(_RESOLVER).resolve().parent)]
    for name in _CERTIFICATE_VARIABLES:
        places += os.environ.get(name, "").split(os.pathsep)
    return {Path(place) for place in places if place and Path(place) != Path("/")}


def _installation() -> set[Path]:
    """The folders of the interpreter, of the libraries and of our own files."""
    places = [*_SYSTEM, sys.prefix, sys.base_prefix, getattr(sys, "_MEIPASS", ""), *sys.path]
    places.append(sys.executable)  # a bundle's, beside its folder, reads itself when it starts
    for name in _LIBRARY_VARIABLES:
        places += os.environ.get(name, "").split(os.pathsep)
    places += [str(resources_dir()), str(catalogue_dir())]
    return {Path(place) for place in places if place and Path(place) != Path("/")}
