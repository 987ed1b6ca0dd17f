"""One of several servers that share an address: the process that `instances` starts.

It reads its options, a frame, from standard input and finds its sockets by their descriptors. The
pipe stays open as long as the supervisor runs: the instance ends with it, also after a kill.
"""

from __future__ import annotations

import os
import socket
import sys

from pydantic import BaseModel, ConfigDict, TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.errors import R1Error
from deepseek_r1.native.child_start import end_with_owner
from deepseek_r1.server.serve_options import ServeOptions
from deepseek_r1.server.serving import serve_on


class InstanceStart(BaseModel):
    """The options of an instance and the descriptors of its sockets."""

    model_config = ConfigDict(frozen=True)

    options: ServeOptions
    descriptors: tuple[int, ...]


def main() -> None:
    """Serve until a signal ends the process; the exit status is the error's."""
    body = frames.read(os.fdopen(0, "rb", buffering=0, closefd=False), frames.TO_CHILD_CAP)
    if body is None:  # the supervisor has ended
        return
    end_with_owner(0)
    start = frames.parse(body, TypeAdapter(InstanceStart))
    listening = [socket.socket(fileno=descriptor) for descriptor in start.descriptors]
    try:
        serve_on(
            listening, start.options, on_event=lambda _event: None, on_loaded=lambda _loaded: None
        )
    except R1Error as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 - the owner's terminal
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
