"""`bench serve` names a server that is not there; one is measured in tests/server."""

from __future__ import annotations

from deepseek_r1.lab.serve_load import LoadTimes, percentile
from support.command import run


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


def test_a_wrong_number_of_users_is_refused_by_its_option():
    done = run("bench", "serve", "--url", "http://127.0.0.1:9", "--users", "many")
    assert done.returncode == 2
    assert "--users" in done.stderr
