"""A program that locks itself and then tries statements from inside."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from support.command import run_code

# What both locked processes are refused, with a file `private` beside others of its folder.
REFUSED = {
    "hold another process": "os.pidfd_open(os.getppid())",
    "connect": "socket.create_connection(('127.0.0.1', 9), 1)",
    "a socket of the system's own": "socket.socket(socket.AF_UNIX)",
    "start a program": "subprocess.run(['/bin/true'], check=True)",
    "read a private file": "private.read_text()",
    "list a private folder": "list(private.parent.iterdir())",
    "list the home folder": "list(pathlib.Path.home().iterdir())",
    "write a private file": "private.write_text('')",
    "delete a private file": "private.unlink()",
    "make a file": "private.with_name('new').touch()",
    "make a file in shared memory": "pathlib.Path('/dev/shm/new').touch()",
}


def refused_by_libc(failed_call: str) -> str:
    """A statement that raises what the C library's function reports."""
    return (
        f"libc = ctypes.CDLL(None, use_errno=True)\n"
        f"if libc.{failed_call}: raise OSError(ctypes.get_errno(), '')"
    )


OUTCOME = """
def outcome(source):
    try:
        exec(source, globals())
    except OSError:
        return "refused"
    except Exception as error:
        return repr(error)
    return "done"
"""
PROGRAM = """
import contextlib, ctypes, json, os, pathlib, signal, socket, subprocess, sys, threading
from deepseek_r1.core.process_lock import lock_files, lock_process, network_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.native.native_library import native

place, outside = pathlib.Path(os.environ["PLACE"]), int(os.environ["OUTSIDE"])
model, folder, private = (place / name for name in ("model", "folder", "private"))
assert eval(os.environ["LOCK_PROCESS"]) == ()
locked = threading.Event()

def attempt_all():
    attempts = json.loads(os.environ["ATTEMPTS"])
    locked.wait()
    print(json.dumps({name: outcome(source) for name, source in attempts.items()}))

thread = threading.Thread(target=attempt_all)
thread.start()
assert eval(os.environ["LOCK_FILES"])
locked.set()
thread.join()
"""


def locked_outcomes(
    lock_process: str, lock_files: str, attempts: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """What becomes of each attempt: "done" or "refused".

    They are made in a thread that was started before the files were locked. The program has a file
    `model`, a folder `folder`, a file `private`, and this process as one `outside`.
    """
    (folder / "folder").mkdir()
    (folder / "model").write_bytes(bytes(8192))
    (folder / "private").write_text("private")
    done = run_code(
        OUTCOME + PROGRAM,
        OUTSIDE=str(os.getpid()),
        PLACE=str(folder),
        LOCK_PROCESS=lock_process,
        LOCK_FILES=lock_files,
        ATTEMPTS=json.dumps(dict(attempts)),
    )
    assert done.stdout, done.stderr
    assert (folder / "private").read_text() == "private"
    found: dict[str, str] = json.loads(done.stdout)
    return found
