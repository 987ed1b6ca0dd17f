"""What the window's server cannot do, tried from inside of the real process while it serves."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from deepseek_r1.core import frames
from deepseek_r1.core.process_lock import missing_parts
from deepseek_r1.core.processes import child_environment
from deepseek_r1.host.sharing_protocol import SharingBegan, SharingStart, from_server_adapter
from hostile import locked_program
from support.servers import post

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(missing_parts()), reason="this system has no seccomp or no Landlock"),
]

KEY = "a-key-of-some-length"
REFUSED = locked_program.REFUSED | {
    "listen at another port": "socket.create_server(('127.0.0.1', 0))",
    "start the interpreter": "subprocess.run([sys.executable, '-c', ''], check=True)",
    "signal its owner": "os.kill(os.getppid(), 0)",
    "read its owner's environment": "open(f'/proc/{os.getppid()}/environ').read()",
}
NEEDED = {
    "modules that are loaded late": "import sqlite3",
    "threads": "import threading; threading.Thread(target=print).start()",
}
SERVER = """
import os, pathlib, socket, subprocess, sys
from deepseek_r1.server import shared_server

private = pathlib.Path(sys.argv[1])
create_app = shared_server.create_app

def with_intruder(*arguments, **options):
    app = create_app(*arguments, **options)

    @app.post("/attempts")
    def attempt(attempts: dict[str, str]) -> dict[str, str]:
        return {name: outcome(source) for name, source in attempts.items()}

    return app

shared_server.create_app = with_intruder
shared_server.main()
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What becomes of each attempt, made by a request: "done" or "refused"."""
    private = tmp_path_factory.mktemp("places") / "private"
    private.write_text("private")
    server = subprocess.Popen(
        [sys.executable, "-c", locked_program.OUTCOME + SERVER, str(private)],
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    try:
        start = SharingStart(port=0, api_key=KEY)
        server.stdin.write(frames.pack(start, frames.TO_CHILD_CAP))
        began = frames.parse(frames.read(server.stdout, frames.FROM_CHILD_CAP), from_server_adapter)
        assert isinstance(began, SharingBegan)
        headers = {"Authorization": f"Bearer {KEY}"}
        address = began.address.removesuffix("/v1")
        yield post(f"{address}/attempts", json=REFUSED | NEEDED, headers=headers).json()
        assert private.read_text() == "private"
    finally:
        server.stdin.close()  # its owner has ended
        status = server.wait()
        server.stdout.close()
    assert status == 0


@pytest.mark.parametrize("name", REFUSED)
def test_the_windows_server_is_refused(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "refused"


@pytest.mark.parametrize("name", NEEDED)
def test_what_serving_needs_still_works(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "done"
