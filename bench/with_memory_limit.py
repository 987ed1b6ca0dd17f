"""Runs a command under a real memory limit, then prints the peak of its memory.

    sudo .venv/bin/python bench/with_memory_limit.py MB COMMAND [ARGUMENT...]

MB are millions of bytes, page cache and child processes included. Needs root on Linux. The exit
status is the command's; 137 is that of a command that was killed, as by the kernel at the limit.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from bench.machine_limits import MIB, LimitUnavailable, MemoryGroup

_MB = 1_000_000
_KILLED = 128  # and the signal's number, as shells report it


def main() -> int:
    """Run the command line."""
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    limit_mb, command = int(sys.argv[1]), sys.argv[2:]
    try:
        group = MemoryGroup(limit_mb * _MB / MIB)
    except LimitUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    try:
        done = subprocess.run(command, preexec_fn=group.join, check=False)
        peak_mb = group.peak_mib * MIB / _MB
        print(f"memory peak: {peak_mb:.0f} MB of {limit_mb}", file=sys.stderr)
    finally:
        group.remove()
    return done.returncode if done.returncode >= 0 else _KILLED - done.returncode


if __name__ == "__main__":
    sys.exit(main())
