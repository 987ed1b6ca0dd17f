"""What an intruder in the engine's process can do once a model is loaded: nothing of use."""

from __future__ import annotations

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
from support.patience import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(missing_parts()), reason="this system cannot lock a process"),
]

SETTINGS = LoadSettings(context_length=512)
COMMAND = [sys.executable, "-P", intruder_engine.__file__]
OWN = os.getpid()
LIBC = "libc = ctypes.CDLL(None, use_errno=True)\n"
RAISE = "raise OSError(ctypes.get_errno(), '')"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("places")
    (folder / "private").mkdir()
    (folder / "private" / "diary.txt").write_text("private")
    (folder / "private" / "other.gguf").write_bytes(b"GGUF")
    (folder / "model.gguf").write_bytes(starter.read_bytes())  # not in the installation's folders
    (folder / "profile").mkdir()
    (folder / "profile" / "conversations.db").write_bytes(b"private")
    names = {
        "private": "private",
        "prompts": "prompts",
        "profile": "profile",
        "model": "model.gguf",
    }
    return {key: folder / name for key, name in names.items()}


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


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("Path('{private}/diary.txt').read_text()", id="read a private file"),
        pytest.param("Path('{private}/other.gguf').read_bytes()", id="read another model"),
        pytest.param("os.listdir('{profile}')", id="list the profile"),
        pytest.param("Path('{profile}/conversations.db').read_bytes()", id="read conversations"),
        pytest.param("socket.create_connection(('127.0.0.1', 9), 1)", id="connect"),
        pytest.param(f"os.kill({OWN}, 0)", id="signal its owner"),
        pytest.param(
            f"__import__('resource').prlimit({OWN}, 0, (1, 1))", id="end its owner by a limit"
        ),
        pytest.param("os.chmod('{private}/diary.txt', 0o777)", id="open a file to everybody"),
        pytest.param("os.chown('{private}/diary.txt', 1, 1)", id="give a file away"),
        pytest.param("os.utime('{private}/diary.txt')", id="change a file's times"),
        pytest.param(
            "os.setxattr('{private}/diary.txt', 'user.note', b'x')", id="change an attribute"
        ),
        pytest.param(
            LIBC + f"if libc.inotify_init1(0) < 0: {RAISE}", id="watch what the user does"
        ),
        pytest.param(
            LIBC + f"if libc.shmget(0, 4096, 0o1600) < 0: {RAISE}", id="share memory by number"
        ),
        pytest.param(f"Path('/proc/{OWN}/environ').read_bytes()", id="read its owner's secrets"),
        pytest.param(f"Path('/proc/{OWN}/maps').read_bytes()", id="read its owner's memory map"),
    ],
)
def test_it_is_refused(intruder: EngineClient, places: dict[str, Path], statement: str) -> None:
    assert outcome(intruder, statement, places) == "refused"
    assert (places["private"] / "diary.txt").read_text() == "private"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("Path('{prompts}/segments/new').write_text('')", id="the folder of prompts"),
        pytest.param(
            "Path('{profile}/measured/threads.json').write_text('')", id="measured values"
        ),
        pytest.param("__import__('resource').getrlimit(0)", id="its own limits"),
        pytest.param(
            "with Path('{prompts}/segments/new').open('wb') as file: os.utime(file.fileno())",
            id="the time at which a prompt was used",
        ),
    ],
)
def test_the_engines_own_needs_are_met(
    intruder: EngineClient, places: dict[str, Path], statement: str
) -> None:
    assert outcome(intruder, statement, places) == "done"


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
