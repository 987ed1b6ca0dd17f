"""What the locked processes of engine, network and documents cannot do, tried from inside."""

import pytest

from deepseek_r1.core import process_lock
from deepseek_r1.core.process_lock import missing_parts
from hostile import locked_program
from hostile.locked_program import locked_outcomes, refused_by_libc
from support.command import run_code

pytestmark = pytest.mark.skipif(
    bool(missing_parts()), reason="this system has no seccomp or no Landlock"
)

REFUSED = locked_program.REFUSED | {
    "start a shell": "subprocess.run(['/bin/sh', '-c', 'true'], check=True)",
    "signal another process": "os.kill(outside, 0)",
    "trace another process": refused_by_libc("ptrace(16, outside, None, None)"),
    "a namespace of its own": refused_by_libc("unshare(0x10000000)"),
    "open a private file to change it": "private.open('r+')",
    "truncate a private file": "os.truncate(private, 0)",
    "move a private file": "private.rename(folder / 'taken')",
    "link to a private file": "os.link(private, folder / 'taken')",
    "make a folder": "private.with_name('new').mkdir()",
    "change the model": "model.open('r+')",
    "read through a link of its own": (
        "(folder / 'way').symlink_to(private)\n(folder / 'way').read_text()"
    ),
    "read another process's environment": "open(f'/proc/{outside}/environ').read()",
    "read another process's memory": "open(f'/proc/{outside}/mem', 'rb').read(1)",
}
NEEDED = {
    "interpreter": "subprocess.run([sys.executable, '-c', ''], check=True)",
    "priority": "os.nice(1)",
    "memory readings": "open('/proc/self/status').read()",
    "huge pages": "import mmap; mmap.mmap(-1, 1 << 22).madvise(mmap.MADV_HUGEPAGE)",
    "page cache": "os.posix_fadvise(os.open(sys.executable, 0), 0, 0, 4)",
    "direct reads": "os.open(sys.executable, os.O_RDONLY | os.O_DIRECT)",
    "threads": "os.sched_setaffinity(0, os.sched_getaffinity(0))",
    "direct reads of the model": "os.open(model, os.O_RDONLY | os.O_DIRECT)",
    "the model": "model.read_bytes()",
    "a file in the folder of prompts": "(folder / 'a').write_text('')",
    "renaming and deleting there": (
        "(folder / 'a').touch()\n(folder / 'a').rename(folder / 'b')\n(folder / 'b').unlink()"
    ),
    "modules that are loaded late": "import sqlite3, numpy",
    "own memory": "import psutil; psutil.Process().memory_full_info()",
    "processors": "os.listdir('/sys/devices/system/cpu')",
    "the template renderer": (
        "from deepseek_r1.engine.prompt.template_process import render_in_process\n"
        "assert render_in_process('{{ 1 }}', [{'messages': []}])"
    ),
}


REFUSED_TO_THE_NETWORK = REFUSED | {
    "wait for connections": "socket.socket().listen()",
    "read a model elsewhere": "model.read_bytes()",
}
del REFUSED_TO_THE_NETWORK["connect"]
del REFUSED_TO_THE_NETWORK["a socket of the system's own"]  # asked for names of servers
NEEDED_FOR_THE_NETWORK = {
    "connect": (
        "with contextlib.suppress(ConnectionRefusedError):\n"
        "    socket.create_connection(('127.0.0.1', 9), 5)"
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
        "with HeaderProcess() as process, contextlib.suppress(NotAModelFile):\n"
        "    process.check_file(folder / 'b', True)"
    ),
}
# A document's reader starts nothing and writes nowhere, and opens its own file alone (`model`).
REFUSED_TO_A_READER = REFUSED | {
    name: NEEDED[name] for name in ("interpreter", "a file in the folder of prompts")
}
NEEDED_FOR_A_READER = {
    name: NEEDED[name] for name in ("the model", "modules that are loaded late", "memory readings")
} | {"readers of PDF and of sheets": "import pypdfium2, python_calamine"}
EXPECTED = {
    "DOCUMENTS": dict.fromkeys(REFUSED_TO_A_READER, "refused")
    | dict.fromkeys(NEEDED_FOR_A_READER, "done"),
    "ENGINE": dict.fromkeys(REFUSED, "refused") | dict.fromkeys(NEEDED, "done"),
    "NETWORK": dict.fromkeys(REFUSED_TO_THE_NETWORK, "refused")
    | dict.fromkeys(NEEDED_FOR_THE_NETWORK, "done"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What becomes of each attempt in a program that locks itself as such a process does."""
    files = {
        "DOCUMENTS": "[model], []",
        "ENGINE": "[model], [folder]",
        "NETWORK": "network_files(), [folder]",
    }
    attempts = {
        "DOCUMENTS": REFUSED_TO_A_READER | NEEDED_FOR_A_READER,
        "ENGINE": REFUSED | NEEDED,
        "NETWORK": REFUSED_TO_THE_NETWORK | NEEDED_FOR_THE_NETWORK,
    }
    return {
        kind: locked_outcomes(
            f"lock_process(ChildKind.{kind}.value.lock)",
            f"lock_files({files[kind]}, native().restrict_threads)",
            attempts[kind],
            tmp_path_factory.mktemp("places"),
        )
        for kind in EXPECTED
    }


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in EXPECTED.items() for name in names]
)
def test_a_locked_process_can_do_what_it_needs_alone(outcomes, kind, name):
    assert outcomes[kind][name] == EXPECTED[kind][name]


def test_a_thread_that_blocks_the_signal_fails_the_lock() -> None:
    source = """
import os, signal, threading, time
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.core.process_lock import lock_files, lock_process
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.native.native_library import native

lock_process(ChildKind.ENGINE.value.lock)
deaf = threading.Event()

def block():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    deaf.set()
    time.sleep(60)

threading.Thread(target=block, daemon=True).start()
deaf.wait()
try:
    lock_files([], [], native().restrict_threads)
except EngineStartFailed as error:
    print(error, flush=True)
os._exit(0)
"""
    done = run_code(source)
    assert "The sandbox could not be set up" in done.stdout, done.stderr


@pytest.mark.parametrize("knows_flag", [True, False])
def test_the_filter_leaves_speculation_on_where_the_system_can(knows_flag: bool) -> None:
    calls: list[tuple[int, ...]] = []

    class Libc:
        def syscall(self, *arguments: int) -> int:
            calls.append(arguments[1:3])
            return 0 if knows_flag else -1

        def prctl(self, *arguments: int) -> int:
            calls.append(arguments[:2])
            return 0

    assert process_lock._install_filter(Libc(), b"")  # type: ignore[arg-type]
    assert calls == ([(1, 1 << 2)] if knows_flag else [(1, 1 << 2), (22, 2)])
