"""The gateways that exist, before real servers: their configuration, and a conversation's way."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.servers import foreign_server, free_port, get, post

CHAT = "/v1/chat/completions"
SMG = (
    *("--policy", "cache_aware", "--balance-abs-threshold", "2", "--queue-timeout-secs", "600"),
    *("--health-check-endpoint", "/health/ready", "--disable-tokenizer-autoload"),
)  # as in docs/guides/serve.md


def served_by(address: str, session: str, count: int) -> int:
    """Sends requests of one conversation; returns how many were answered."""
    model = get(f"{address}/v1/models").json()["data"][0]["id"]
    messages = [{"role": "user", "content": f"{session} " * 20}]
    body = {"model": model, "messages": messages, "max_tokens": 1}
    headers = {"X-Session-Id": session}
    replies = [post(address + CHAT, json=body, headers=headers) for _ in range(count)]
    return sum(reply.status_code == 200 for reply in replies)


def answered(server_address: str) -> int:
    text = get(f"{server_address}/metrics").text
    name = "deepseek_r1:e2e_request_latency_seconds_count "
    return int(float(text.split(name)[-1].split()[0]))


def haproxy_file(addresses: list[str], port: int) -> str:
    """The containers' file, as the guide says it is written for servers with addresses."""
    shipped = Path(__file__).parents[2] / "installer" / "container" / "haproxy.cfg"
    start, _docker, rest = re.split(r"(resolvers docker\n.*\n)", shipped.read_text("utf-8"))
    lines = [
        f"    server r{n} {each.removeprefix('http://')}\n" for n, each in enumerate(addresses)
    ]
    rest = re.sub(r"    server-template .*\n", "".join(lines), rest)
    rest = rest.replace("check inter 2s", "check inter 200ms")
    return start + rest.replace("bind :8080", f"bind 127.0.0.1:{port}")


@pytest.fixture(scope="module")
def served(shallow_starter: Path) -> Path:
    return shallow_starter


@pytest.mark.integration
@pytest.mark.parametrize("gateway", ["haproxy", "smg"])
def test_a_conversation_stays_on_its_server_and_survives_it(gateway, start_server, tmp_path):
    program = shutil.which(gateway)
    if program is None:
        pytest.skip(f"{gateway} is not installed")
    servers = [start_server(wait=False) for _ in range(2)]
    addresses, port = [each.address for each in servers], free_port()
    if gateway == "haproxy":
        file = tmp_path / "haproxy.cfg"
        file.write_text(haproxy_file(addresses, port), encoding="utf-8")
        assert subprocess.run([program, "-c", "-f", file], check=False).returncode == 0
        command = [program, "-db", "-f", str(file)]
    else:
        command = [program, "launch", "--host", "127.0.0.1", "--port", str(port), *SMG]
        command += ["--prometheus-port", str(free_port()), "--worker-urls", *addresses]
    for server in servers:
        server.wait_until_ready()
    common = f"http://127.0.0.1:{port}"
    with foreign_server(command, f"{common}/v1/models"):
        assert served_by(common, "first", 4) == 4
        counts = sorted(answered(address) for address in addresses)
        assert counts == [0, 4]
        busy = max(servers, key=lambda each: answered(each.address))
        busy.process.kill()
        busy.process.wait()
        assert served_by(common, "first", 3) == 3
