"""The profile for a small computer: the system prompt is computed before and after others' use."""

import os
import re
import sys
from pathlib import Path

import psutil
import pytest

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.server.serve_options import EDGE_CONTEXT, ServeOptions, ServeProfile, with_profile
from support.patience import wait_until
from support.servers import RunningServer, StartServer

SYSTEM = "You check the temperatures of a machine and answer in one short sentence. " * 20


def options(**settings: object) -> ServeOptions:
    return ServeOptions(
        model=Path("model.gguf"), settings=LoadSettings(**settings), served_name="model"
    )


def test_the_profile_is_a_small_context_for_one_request():
    edge = with_profile(options(drafts=DraftMode.LOOKUP), ServeProfile.EDGE)
    assert edge.settings.context_length == EDGE_CONTEXT
    assert edge.settings.drafts is DraftMode.OFF
    assert edge.parallel == 1
    assert edge.lock_memory
    assert (
        with_profile(options(context_length=512), ServeProfile.EDGE).settings.context_length == 512
    )
    assert with_profile(options(), ServeProfile.STANDARD) == options()
    with pytest.raises(WrongUsage, match="swap"):
        with_profile(options(swap_enabled=True), ServeProfile.EDGE)


def cached_tokens(server: RunningServer, *messages: dict[str, str]) -> int:
    body = {"messages": list(messages), "max_tokens": 1}
    with server.http() as http:
        usage = http.post("/v1/chat/completions", json=body).raise_for_status().json()["usage"]
    return usage["prompt_tokens_details"]["cached_tokens"]


def can_lock_memory() -> bool:
    """Whether this user may keep a model in memory: root, or with `ulimit -l unlimited`."""
    if sys.platform != "linux":
        return False
    import resource  # noqa: PLC0415 - not on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return os.geteuid() == 0 or limit == resource.RLIM_INFINITY


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.skipif(not can_lock_memory(), reason="memory is pinned on Linux, where ulimit -l lets")
def test_the_first_request_finds_the_system_prompt_and_so_does_one_after_a_stranger(
    start_server: StartServer, tmp_path: Path
):
    file = tmp_path / "system.txt"
    file.write_text(SYSTEM, encoding="utf-8")
    server = start_server("--profile", "edge", "--system-prompt-file", str(file))
    user = {"role": "user", "content": "61 degrees."}
    with server.http() as http:
        tokens = http.post("/tokenize", json={"prompt": SYSTEM.strip()}).json()["count"]
    assert cached_tokens(server, user) >= tokens
    assert cached_tokens(server, {"role": "system", "content": "Other."}, user) < tokens
    wait_until(
        lambda: cached_tokens(server, user) >= tokens, "the system prompt was not computed again"
    )
    children = psutil.Process(server.process.pid).children()
    (engine,) = (each for each in children if "deepseek_r1.host.child" in each.cmdline())
    status = Path(f"/proc/{engine.pid}/status").read_text(encoding="ascii")
    locked_kib = int(re.search(r"VmLck:\s+(\d+) kB", status).group(1))
    assert locked_kib > 50_000
