"""No orphan, no leak, no work without a reason, no secret handed on."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deepseek_r1.core import frames
from deepseek_r1.core.errors import EngineDied
from deepseek_r1.core.processes import ChildKind, child_command
from deepseek_r1.host import protocol, supervisor
from deepseek_r1.host.client import EngineClient
from support.patience import PATIENCE_S, wait_until

APP = Path(supervisor.__file__).parents[2]
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="uses signals")

OWNER = """
import sys, time
from deepseek_r1.host.client import EngineClient

with EngineClient() as client:
    try:
        client.load(__file__)
    except Exception:
        pass
    print(client.pid, flush=True)
    time.sleep(60)
"""


@contextmanager
def started() -> Iterator[subprocess.Popen]:
    """The real child, which is ended after the block."""
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        child_command(ChildKind.ENGINE), stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0,
        env=supervisor.engine_environment(),
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for each in (child.stdin, child.stdout, child.stderr):
            each.close()


@pytest.fixture
def child() -> Iterator[subprocess.Popen]:
    """The real child, after its greeting."""
    with started() as child:
        assert isinstance(first_frame(child), protocol.Handshake)
        yield child


def first_frame(child: subprocess.Popen) -> protocol.Reply:
    return frames.parse(frames.read(child.stdout, frames.FROM_CHILD_CAP), protocol.reply_adapter)


def gone(pid: int, within_s: float = PATIENCE_S) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
@pytest.mark.quiet  # a neighbour on the same core costs processor time too
def test_the_real_child_greets_within_four_times_what_importing_pydantic_takes():
    # Processor time of both, the least of three: neither other work nor the processor counts.
    code = "import pydantic.main, psutil; print(sum(psutil.Process().cpu_times()[:2]))"
    imports = [subprocess.check_output([sys.executable, "-c", code]) for _ in range(3)]
    assert min(seconds_to_greet() for _ in range(3)) < 4 * min(map(float, imports))


def seconds_to_greet() -> float:
    with started() as child:
        hello = first_frame(child)
        cpu = psutil.Process(child.pid).cpu_times()
    assert hello.version == protocol.VERSION
    assert hello.pid == child.pid
    assert "llama.cpp" in hello.engine
    return cpu.user + cpu.system


def test_the_child_ends_when_its_input_closes(child):
    child.stdin.close()
    assert child.wait(PATIENCE_S) == 0


def test_no_child_outlives_a_killed_owner(tmp_path):
    assert_ends_with_its_owner(tmp_path, OWNER)


BUSY_CHILD = """
import os, sys
from deepseek_r1.native.child_start import end_with_owner

if sys.argv[1] == "library":  # the parent-death signal is the other means
    sys.platform = "elsewhere"
end_with_owner(0)
print(os.getpid(), flush=True)
10 ** (10**8)  # one call of C, which keeps the interpreter's lock for minutes
"""

BUSY_OWNER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE)
time.sleep(60)
"""

TEMPLATE_OWNER = """
from deepseek_r1.engine.prompt.template import ChatTemplate
from deepseek_r1.engine.prompt.template_process import renderer_pid, start_renderer

start_renderer()
print(renderer_pid(), flush=True)
ChatTemplate(
    "{% set ns=namespace(a=[1],b=[1]) %}{% for i in range(60) %}{% set ns.a=[ns.a,ns.a] %}"
    "{% set ns.b=[ns.b,ns.b] %}{% endfor %}{{ ns.a == ns.b }}"
)
"""


@pytest.mark.parametrize("means", ["signal", "library"])
def test_a_child_that_holds_the_interpreter_does_not_outlive_a_killed_owner(tmp_path, means):
    child = tmp_path / "child.py"
    child.write_text(BUSY_CHILD)
    assert_ends_with_its_owner(tmp_path, BUSY_OWNER, str(child), means)


@pytest.mark.slow
def test_a_template_that_does_not_end_does_not_outlive_a_killed_owner(tmp_path):
    assert_ends_with_its_owner(tmp_path, TEMPLATE_OWNER)  # by its limit of processor time


def assert_ends_with_its_owner(tmp_path: Path, source: str, *arguments: str) -> None:
    script = tmp_path / "owner.py"
    script.write_text(source)
    env = {**os.environ, "PYTHONPATH": str(APP)}
    command = [sys.executable, str(script), *arguments]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    try:
        child = int(owner.stdout.readline())
        time.sleep(0.5)
        owner.kill()
        owner.wait()
        assert gone(child)
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()


def test_a_request_of_garbage_ends_the_child_with_a_word_on_standard_error(child):
    child.stdin.write(b"\xff" * 100)
    assert child.wait(PATIENCE_S) == 3
    assert b"4294967295 bytes" in child.stderr.read()


@linux_only
def test_restarts_leak_neither_threads_nor_descriptors(scripted):
    client = scripted()
    client.load("")
    restart(client)
    threads, descriptors = threading.active_count(), open_descriptors()
    children = len(psutil.Process().children())
    for _ in range(5):
        restart(client)
    wait_until(lambda: threading.active_count() <= threads)
    wait_until(lambda: open_descriptors() <= descriptors)
    wait_until(lambda: len(psutil.Process().children()) <= children)


def restart(client: EngineClient) -> None:
    with pytest.raises(EngineDied):
        list(client.generate("exit=3"))
    list(client.generate("say=back"))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.quiet
def test_an_idle_engine_and_its_owner_use_no_processor(tmp_path):
    with EngineClient() as client:
        with pytest.raises(Exception, match="missing"):
            client.load(tmp_path / "missing.gguf")
        time.sleep(0.3)
        child, own = psutil.Process(client.pid), time.process_time()
        before = child.cpu_times()
        time.sleep(2)
        after = child.cpu_times()
        own = time.process_time() - own
    assert own < 0.02
    assert after.user + after.system - before.user - before.system <= 0.02  # two clock ticks


@posix_only
def test_the_child_gives_way_to_other_programs(child):
    own = psutil.Process().nice()
    assert psutil.Process(child.pid).nice() >= min(own + 1, 19)  # the tests may give way too


@linux_only
def test_the_child_is_the_first_to_go_when_memory_runs_out_and_leaves_no_core(child):
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) > own
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 ", limits)


@linux_only
def test_the_child_knows_no_secret_and_no_file_of_its_owner(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    secret = (tmp_path / "diary").open("w")
    try:
        os.set_inheritable(secret.fileno(), True)
        with EngineClient() as client:
            with pytest.raises(Exception, match="missing"):
                client.load("missing.gguf")
            proc = Path(f"/proc/{client.pid}")
            names = {entry.split(b"=")[0] for entry in (proc / "environ").read_bytes().split(b"\0")}
            files = {str(link.readlink()) for link in (proc / "fd").iterdir()}
    finally:
        secret.close()
    assert not names & {b"HF_TOKEN", b"AWS_SECRET_ACCESS_KEY"}
    assert not any("diary" in file for file in files)


def test_the_environment_passes_what_is_needed_and_nothing_else():
    own = {
        "PATH": "/bin", "Path": "C:\\", "HOME": "/home/鲸", "LC_ALL": "C.UTF-8",
        "SystemRoot": "C:\\W",
        "R1DESK_PROFILE": "/p", "OMP_NUM_THREADS": "3", "GGML_X": "1", "XDG_DATA_HOME": "/x",
        "OPENAI_API_KEY": "k", "PYTHONPATH": "/evil", "PYTHONSTARTUP": "/evil",
        "LD_PRELOAD": "/evil.so",
        "HTTPS_PROXY": "http://user:pass@proxy", "SSH_AUTH_SOCK": "/s",
    }  # fmt: skip
    passed = supervisor.engine_environment(own)
    kept = {"PATH", "Path", "HOME", "LC_ALL", "SystemRoot", "R1DESK_PROFILE", "OMP_NUM_THREADS",
            "GGML_X", "XDG_DATA_HOME"}  # fmt: skip
    ours = {"R1DESK_LANGUAGE", "GGML_NO_BACKTRACE", "GOMP_SPINCOUNT", "PYTHONPATH"}
    assert set(passed) == kept | ours
    assert passed["PYTHONPATH"] == str(APP)


def test_a_user_who_chose_how_threads_wait_is_obeyed():
    assert "GOMP_SPINCOUNT" not in supervisor.engine_environment({"OMP_WAIT_POLICY": "active"})
    assert supervisor.engine_environment({"GOMP_SPINCOUNT": "5"})["GOMP_SPINCOUNT"] == "5"


def test_the_frozen_program_starts_itself_as_the_engine(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert child_command(ChildKind.ENGINE) == [sys.executable, "--engine-host"]


def test_a_module_in_the_current_folder_does_not_stand_in_for_ours(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    with started() as child:
        assert isinstance(first_frame(child), protocol.Handshake)


def test_what_native_code_prints_does_not_reach_the_pipe(tmp_path):
    script = tmp_path / "printing.py"
    script.write_text(
        "import os, threading\n"
        "from deepseek_r1.host import child, worker\n"
        "def run(self):\n"
        "    os.write(1, b'native noise')\n"
        "    print('python noise', flush=True)\n"
        "    self._send(worker.protocol.Handshake(version=1, pid=1, engine='x'))\n"
        "    os._exit(0)\n"
        "worker.Worker.run = run\n"
        "child.main()\n"
    )
    child = subprocess.run(
        [sys.executable, str(script)], input=b"?", capture_output=True, check=True,
        env=supervisor.engine_environment(), timeout=PATIENCE_S,
    )  # fmt: skip
    assert re.fullmatch(rb'....\{"kind":"handshake".*\}', child.stdout, re.DOTALL)
    assert child.stderr.splitlines() == [b"native noisepython noise"]
