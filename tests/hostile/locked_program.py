"""A program that locks itself and then tries statements from inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

APP = Path(__file__).parents[2] / "app"

PROGRAM = """
import ctypes, json, os, pathlib, signal, socket, subprocess, sys, threading
from deepseek_r1.core.process_lock import lock_files, lock_process, network_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.native.native_library import native

place = pathlib.Path(os.environ["PLACE"])
model, folder, private = (place / name for name in ("model", "folder", "private"))
assert eval(os.environ["LOCK_PROCESS"]) == ()
locked = threading.Event()

def outcome(source):
    try:
        exec(source, globals())
    except OSError:
        return "refused"
    except Exception as error:
        return repr(error)
    return "done"

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
    `model`, a folder `folder`, a file `private`, and this process as one outside.
    """
    (folder / "folder").mkdir()
    (folder / "model").write_bytes(bytes(8192))
    (folder / "private").write_text("private")
    environment = {
        **os.environ,
        "PYTHONPATH": str(APP),
        "OUTSIDE": str(os.getpid()),
        "PLACE": str(folder),
        "LOCK_PROCESS": lock_process,
        "LOCK_FILES": lock_files,
        "ATTEMPTS": json.dumps(dict(attempts)),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    assert (folder / "private").read_text() == "private"
    found: dict[str, str] = json.loads(done.stdout)
    return found
