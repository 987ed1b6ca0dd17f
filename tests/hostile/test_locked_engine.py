"""What an intruder in the engine's process can do once a model is loaded: nothing of use."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.core.events import AnswerDelta
from deepseek_r1.core.process_lock import missing_parts
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import PromptCacheFolder
from hostile import intruder_engine
from hostile.locked_program import refused_by_libc
from support.patience import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(missing_parts()), reason="this system cannot lock a process"),
]

SETTINGS = LoadSettings(context_length=512)
COMMAND = [sys.executable, "-P", intruder_engine.__file__]
OWN = os.getpid()
REFUSED = {
    "read a private file": "Path('{private}/diary.txt').read_text()",
    "read another model": "Path('{private}/other.gguf').read_bytes()",
    "list the profile": "os.listdir('{profile}')",
    "read conversations": "Path('{profile}/conversations.db').read_bytes()",
    "connect": "socket.create_connection(('127.0.0.1', 9), 1)",
    "hold its owner": f"os.pidfd_open({OWN})",
    "signal its owner": f"os.kill({OWN}, 0)",
    "end its owner by a limit": f"__import__('resource').prlimit({OWN}, 0, (1, 1))",
    "open a file to everybody": "os.chmod('{private}/diary.txt', 0o777)",
    "give a file away": "os.chown('{private}/diary.txt', 1, 1)",
    "change a file's times": "os.utime('{private}/diary.txt')",
    "change an attribute": "os.setxattr('{private}/diary.txt', 'user.note', b'x')",
    "watch what the user does": refused_by_libc("inotify_init1(0) < 0"),
    "share memory by number": refused_by_libc("shmget(0, 4096, 0o1600) < 0"),
    "read its owner's secrets": f"Path('/proc/{OWN}/environ').read_bytes()",
    "read its owner's memory map": f"Path('/proc/{OWN}/maps').read_bytes()",
}
NEW = "Path('{prompts}/segments/new')"
NEEDED = {
    "the folder of prompts": NEW + ".write_text('')",
    "measured values": "Path('{profile}/measured/threads.json').write_text('')",
    "its own limits": "__import__('resource').getrlimit(0)",
    "a prompt's time of use": f"with {NEW}.open('wb') as file: os.utime(file.fileno())",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, shallow_starter: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("places")
    (folder / "private").mkdir()
    (folder / "private" / "diary.txt").write_text("private")
    (folder / "private" / "other.gguf").write_bytes(b"GGUF")
    (folder / "model.gguf").write_bytes(
        shallow_starter.read_bytes()
    )  # not in the installation's folders
    (folder / "profile").mkdir()
    (folder / "profile" / "conversations.db").write_bytes(b"private")
    named = {name: folder / name for name in ("private", "prompts", "profile")}
    return named | {"model": folder / "model.gguf"}


@pytest.fixture(scope="module")
def intruder(places: dict[str, Path]) -> Iterator[EngineClient]:
    with pytest.MonkeyPatch.context() as patch, EngineClient(command=COMMAND) as client:
        patch.setenv("R1DESK_PROFILE", str(places["profile"]))
        prompts = PromptCacheFolder(path=str(places["prompts"]))
        client.load(places["model"], SETTINGS, prompt_cache=prompts)
        yield client


def outcome(client: EngineClient, statement: str, places: dict[str, Path]) -> str:
    for name, path in places.items():
        statement = statement.replace(f"{{{name}}}", str(path))
    events = client.generate(statement)
    return "".join(event.text for event in events if isinstance(event, AnswerDelta))


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(intruder: EngineClient, places: dict[str, Path], name: str) -> None:
    assert outcome(intruder, REFUSED[name], places) == "refused"
    assert (places["private"] / "diary.txt").read_text() == "private"


@pytest.mark.parametrize("name", NEEDED)
def test_the_engines_own_needs_are_met(intruder, places, name):
    assert outcome(intruder, NEEDED[name], places) == "done"


def test_another_model_gets_a_process_of_its_own(places: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(places["model"].read_bytes())
    with EngineClient(command=COMMAND) as client:
        client.load(places["model"], SETTINGS)
        first = client.pid
        client.load(other, SETTINGS)
        assert client.pid != first
        assert outcome(client, "Path('{other}').read_bytes()", {"other": other}) == "done"
        assert outcome(client, "Path('{model}').read_bytes()", places) == "refused"


def test_the_renderers_memory_is_measured_by_the_heartbeats_thread(intruder: EngineClient) -> None:
    list(intruder.generate("None"))
    wait_until(
        lambda: intruder.heartbeat and intruder.heartbeat.helper_mib >= 4,
        lambda: intruder.heartbeat,
    )
