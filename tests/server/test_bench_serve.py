"""`bench serve` against a real server: users who wait, and requests at a rate."""

import json

import pytest

from deepseek_r1.lab.serve_load import ServerLoad
from support.command import run
from support.servers import RunningServer, get

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def measured(server: RunningServer, *options: str) -> dict[str, object]:
    done = run("bench", "serve", "--url", server.address, "--tokens", "4", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_users_wait_for_their_answers(server: RunningServer):
    report = measured(server, "--users", "1,2", "--requests", "2", "--wanted-rate", "1000")
    assert [row["users"] for row in report["rows"]] == [1, 2]
    for row in report["rows"]:
        assert row["errors"] == 0
        assert row["requests_s"] > 0
        assert row["cores"] > 0
        assert row["engine_peak_mib"] > 50
    assert report["machines"] >= 1


def test_requests_come_at_their_own_rate(server: RunningServer):
    (row,) = measured(server, "--rates", "4", "--seconds", "2")["rows"]
    assert row["rate"] == 4
    assert row["errors"] == 0
    assert row["tokens_s"] > 0


def counted(server: RunningServer, name: str) -> float:
    lines = get(f"{server.address}/metrics").text.splitlines()
    return next(float(each.split()[1]) for each in lines if each.startswith(f"deepseek_r1:{name} "))


def test_each_run_asks_what_no_cache_has(server: RunningServer):
    load = ServerLoad(server.address, "", tokens=1, prompt_tokens=128)
    for _ in range(2):
        read = counted(server, "prompt_tokens_total")
        cached = counted(server, "prefix_cache_hits_total")
        assert not load.run(1, 1).errors
        read = counted(server, "prompt_tokens_total") - read
        cached = counted(server, "prefix_cache_hits_total") - cached
    load.close()
    assert cached < read / 2
