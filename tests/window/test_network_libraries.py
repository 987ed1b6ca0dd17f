"""The window lists and downloads without loading the network's libraries."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.gguf_files import tiny_qwen2
from support.hostile_server import hub_server, page
from window.measured_process import MeasuredProcess

NETWORK_MODULES = ["httpx2", "httpcore2", "anyio", "certifi", "h11", "ssl"]


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="the measured window waits for a POSIX pipe")
def test_after_a_list_and_a_download_the_window_has_no_library_of_the_network(
    tmp_path: Path, no_proxy: None
) -> None:
    files = {"m-Q8_0.gguf": tiny_qwen2(tmp_path / "tiny.gguf").read_bytes()}
    command = ["-m", "window.measured_window", "--scripted"]
    with hub_server(files).running() as server, MeasuredProcess(command) as window:
        window.hear("ready")
        window.tell("open_hub")
        window.tell("list", address=page(server))
        assert window.hear("listed")["models"] == 1
        window.tell("pull")
        window.hear("pulled")
        window.tell("modules", names=NETWORK_MODULES)
        assert window.hear("modules")["loaded"] == []
