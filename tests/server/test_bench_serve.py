"""`bench serve` against a real server: users who wait, and requests at a rate."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support.servers import RunningServer

pytestmark = pytest.mark.native


def measured(server: RunningServer, *options: str) -> dict[str, object]:
    command = [sys.executable, "-m", "deepseek_r1", "bench", "serve", "--url", server.address]
    done = subprocess.run(
        [*command, "--tokens", "4", "--json", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
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
