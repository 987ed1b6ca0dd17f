"""Puts child processes into a job object, which Windows ends together with this process.

The job has no other handle than ours: when this process ends, even by a kill, the handle is closed
and the job's processes are ended. On other systems nothing happens here.
"""

import ctypes
import sys
from functools import cache
from typing import Any

from deepseek_r1.core import log

_EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
_KILL_ON_JOB_CLOSE = 0x2000
_PROCESS_MEMORY = 0x100


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("basic", _BasicLimits),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


def end_with_this_process(process_handle: int, *, memory_bytes: int = 0) -> None:
    """Put a process of ours into a job that ends with this process; Windows only.

    With `memory_bytes` the process can commit at most that much. `process_handle` is that of
    `subprocess.Popen`.
    """
    if sys.platform == "win32":
        job = _job(memory_bytes)
        if not job or not _kernel32().AssignProcessToJobObject(
            ctypes.c_void_p(job), ctypes.c_void_p(process_handle)
        ):
            error = ctypes.get_last_error()
            log.host.warning("a child process is in no job object: error %d", error)


@cache
def _kernel32() -> Any:
    if sys.platform == "win32":
        library = ctypes.WinDLL("kernel32", use_last_error=True)
        library.CreateJobObjectW.restype = ctypes.c_void_p
        return library
    else:  # noqa: RET505 - mypy knows a platform's branch
        raise NotImplementedError


@cache
def _job(memory_bytes: int) -> int:
    """A job object for this limit, kept until this process ends; 0 where the system refuses it."""
    library = _kernel32()
    job = library.CreateJobObjectW(None, None)
    limits = _ExtendedLimits()
    limits.basic.flags = _KILL_ON_JOB_CLOSE | (_PROCESS_MEMORY if memory_bytes else 0)
    limits.process_memory = memory_bytes
    done = job and library.SetInformationJobObject(
        ctypes.c_void_p(job), _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
    )
    return int(job) if done else 0
