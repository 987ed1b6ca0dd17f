"""A process that holds a profile until it is killed."""

import sys
from pathlib import Path

from r1desk.store import Profile, ProfileInUse

try:
    with Profile.open(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except ProfileInUse:
    print("in use", flush=True)
