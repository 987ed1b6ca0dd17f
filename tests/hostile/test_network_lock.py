"""What the process that talks to servers cannot do, tried from inside after it was locked."""

from __future__ import annotations

import pytest

from deepseek_r1.core.process_lock import missing_parts
from hostile.locked_program import locked_outcomes
from hostile.test_process_lock import REFUSED as REFUSED_TO_THE_ENGINE

pytestmark = pytest.mark.skipif(
    bool(missing_parts()), reason="this system has no seccomp or no Landlock"
)

REFUSED = REFUSED_TO_THE_ENGINE | {
    "wait for connections": "socket.socket().listen()",
    "read a model elsewhere": "model.read_bytes()",
}
del REFUSED["connect"], REFUSED["a socket of the system's own"]  # asked for names of servers
NEEDED = {
    "connect": (
        "try:\n"
        "    socket.create_connection(('127.0.0.1', 9), 5)\n"
        "except ConnectionRefusedError:\n"
        "    pass"
    ),
    "find a server": "socket.getaddrinfo('localhost', 443)",
    "the system's settings of the network": "open('/etc/hosts').read()",
    "certificates": (
        "import certifi, httpx2\n"
        "context = httpx2.create_ssl_context()\n"
        "context.load_default_certs()\n"
        "context.load_verify_locations(certifi.where())"
    ),
    "a file that moves from the staging folder": (
        "(folder / '.downloads').mkdir()\n"
        "(folder / '.downloads' / 'a').write_text('')\n"
        "(folder / '.downloads' / 'a').replace(folder / 'a')"
    ),
    "free space": "import shutil; shutil.disk_usage(folder)",
    "a lock on a file": (
        "from filelock import FileLock\nwith FileLock(folder / 'a.lock', timeout=0): pass"
    ),
    "the header process": (
        "from deepseek_r1.catalogue.header_process import HeaderProcess\n"
        "from deepseek_r1.core.errors import NotAModelFile\n"
        "(folder / 'b').write_text('no model')\n"
        "with HeaderProcess() as process:\n"
        "    try:\n"
        "        process.check_file(folder / 'b', True)\n"
        "    except NotAModelFile:\n"
        "        pass"
    ),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return locked_outcomes(
        "lock_process(ChildKind.NETWORK.value.lock)",
        "lock_files(network_files(), [folder], native().restrict_threads)",
        REFUSED | NEEDED,
        tmp_path_factory.mktemp("places"),
    )


@pytest.mark.parametrize("name", REFUSED)
def test_the_locked_process_is_refused(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "refused"


@pytest.mark.parametrize("name", NEEDED)
def test_what_the_network_needs_still_works(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "done"
