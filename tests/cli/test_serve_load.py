"""`bench serve` measures a real server, and names one that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import run

from deepseek_r1.cli.serve_load import LoadTimes, percentile
from support.servers import end, start


def test_percentiles_are_values_that_were_measured():
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([3.0], 99) == 3.0
    assert percentile([], 50) == 0.0
    assert LoadTimes(1, seconds=2.0, tokens=10, first_s=[0.1] * 4).report()["requests_s"] == 2.0


def test_a_server_that_is_not_there_is_named():
    done = run("bench", "serve", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "http://127.0.0.1:9" in done.stderr


@pytest.mark.integration
def test_a_wrong_number_of_users_is_refused_by_its_option():
    done = run("bench", "serve", "--url", "http://127.0.0.1:9", "--users", "many")
    assert done.returncode == 2
    assert "--users" in done.stderr


def test_a_server_is_measured(starter: Path):
    server = start(starter)
    try:
        options = ["--users", "1,2", "--requests", "1", "--tokens", "4", "--json"]
        done = run("bench", "serve", "--url", server.address, *options)
    finally:
        end(server)
    rows = json.loads(done.stdout)["rows"]
    assert [row["users"] for row in rows] == [1, 2]
    assert all(row["errors"] == 0 and row["tokens_s"] > 0 for row in rows)
