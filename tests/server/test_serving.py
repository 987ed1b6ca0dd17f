"""A server among other people: keys, limits, clients that leave, its own end."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest

from deepseek_r1.core.processes import ChildKind
from support.patience import PATIENCE_S, wait_until
from support.processes import programs_below
from support.servers import RunningServer, StartServer, get, post, start, started

pytestmark = pytest.mark.integration

KEY = "a-key-of-some-length"
ENDLESS = {
    "messages": [{"role": "user", "content": "?"}],
    "stream": True,
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "sevens",
            "schema": {"type": "array", "items": {"const": 7}, "minItems": 900, "maxItems": 900},
        },
    },
}
SHORT = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
CHAT = "/v1/chat/completions"


@contextmanager
def answering(server: RunningServer, **fields: object) -> Iterator[tuple[Any, Any, Iterator[str]]]:
    """An endless answer that has begun: a client, the response, and the lines that follow."""
    with server.http() as http, http.stream("POST", CHAT, json=ENDLESS | fields) as running:
        lines = running.iter_lines()
        next(lines)
        yield http, running, lines


@pytest.fixture(scope="module")
def keyed(shallow_starter: Path) -> Iterator[RunningServer]:
    """A server that asks for a key."""
    with started(shallow_starter, key=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(starter: Path) -> Iterator[RunningServer]:
    """A server of one answer at a time, which soon refuses, pings and gives up."""
    limits = ("--max-queue", "1", "--ping-interval", "0.1", "--drain-timeout", "0.3")
    with started(starter, "--parallel", "1", *limits) as running:
        yield running


@pytest.fixture
def single(impatient: RunningServer) -> RunningServer:
    """The same, once it has ended what the tests before have left."""
    wait_for(impatient, "num_waiting_reqs", 0)
    wait_for(impatient, "num_running_reqs", 0)
    return impatient


def test_without_the_key_nothing_answers_but_health(keyed: RunningServer):
    server = keyed
    paths = ["/v1/models", "/metrics", "/v1/loads", "/openapi.json", "/anything"]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
        for path in paths:
            refused = get(server.address + path, headers=headers)
            assert refused.status_code == 401, path
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert post(server.address + CHAT, json=SHORT, headers=headers).status_code == 401
    assert get(server.address + "/health").json() == {"status": "ok"}
    assert get(server.address + "/health/ready").status_code == 200
    with server.client() as client:
        assert client.models.list().data
    with (
        openai.OpenAI(base_url=f"{server.address}/v1", api_key="no") as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_an_address_that_others_reach_needs_a_key(starter: Path, start_server: StartServer):
    with pytest.raises(AssertionError, match="a key is required"):
        start_server("--host", "0.0.0.0")
    with pytest.raises(AssertionError, match="at least 16 characters"):
        start_server("--host", "0.0.0.0", key="short")


def test_a_web_page_cannot_use_a_server_without_a_key(server: RunningServer):
    with server.http() as http:
        page = http.post(CHAT, json=SHORT, headers={"Origin": "https://evil.example"})
        assert page.status_code == 403
        for host in ("evil.example", "evil.example@localhost", "localhost#.evil.example", ""):
            assert http.get("/v1/models", headers={"Host": host}).status_code == 403, host
        for host in ("localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:1", "[::1]"):
            assert http.get("/v1/models", headers={"Host": host}).status_code == 200, host


def test_a_body_that_is_too_large_is_refused_unread(server: RunningServer):
    with server.http() as http:
        announced = http.post(CHAT, content=b"x" * (5 << 20))
        assert announced.status_code == 413

        def pieces():
            for _ in range(80):
                yield b"x" * 65_536

        unannounced = http.post(
            CHAT, content=pieces(), headers={"Content-Type": "application/json"}
        )
        assert unannounced.status_code == 413
        assert http.get("/health").status_code == 200


def test_a_body_that_is_no_http_gets_400_and_no_traceback(keyed: RunningServer):
    server = keyed
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"zz\r\nno size of a chunk"
    assert exchanged(server, head.encode() + chunk).startswith(b"HTTP/1.1 400 ")
    late = exchanged(server, head.encode(), chunk)
    assert (late[:13], late.count(b"HTTP/1.1 ")) == (b"HTTP/1.1 401 ", 1)
    bodiless = exchanged(server, head.replace("POST", "HEAD").encode() + b"zz\r\n")
    assert (bodiless[:13], bodiless[-4:]) == (b"HTTP/1.1 400 ", b"\r\n\r\n")
    health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    second = exchanged(server, health, b"no head of a request\r\n\r\n")
    assert second.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in second
    server.process.send_signal(signal.SIGTERM)
    assert "Traceback" not in server.process.communicate(timeout=PATIENCE_S)[1]


def exchanged(server: RunningServer, *sent: bytes) -> bytes:
    """What a connection gets until the server closes it; a reply comes before the next piece."""
    host, port = server.address.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        for piece in sent:
            connection.sendall(piece)
            received += connection.recv(65_536)
        while part := connection.recv(65_536):
            received += part
    return received


def test_more_requests_than_the_queue_takes_get_429(single: RunningServer):
    server = single
    with answering(server) as (http, running, _lines):
        waiting = threading.Thread(target=lambda: post(server.address + CHAT, json=SHORT))
        waiting.start()
        wait_for(server, "num_waiting_reqs", 1)
        refused = http.post(CHAT, json=SHORT)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json()["error"]["type"] == "rate_limit_error"
        running.close()
        waiting.join(PATIENCE_S)


def wait_for(server: RunningServer, name: str, value: int) -> None:
    def reached() -> bool:
        return get(server.address + "/v1/loads").json()["aggregate"][name] == value

    wait_until(reached, f"{name} did not become {value}")


@pytest.mark.parametrize("stream", [True, False])
def test_the_answer_of_a_client_that_leaves_is_cancelled(server: RunningServer, stream: bool):
    with sent(server, CHAT, ENDLESS | {"stream": stream}) as connection:
        wait_for(server, "num_running_reqs", 1)
        if stream:
            connection.recv(100)
    wait_for(server, "num_running_reqs", 0)
    with server.http() as http:
        assert http.post(CHAT, json=SHORT).status_code == 200


def sent(server: RunningServer, path: str, fields: dict[str, object]) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    body = json.dumps(fields).encode()
    connection = socket.create_connection((host, int(port)))
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return connection


def test_the_embedding_of_a_client_that_leaves_is_not_computed_to_its_end(server: RunningServer):
    text = {"input": "word " * 400}
    with server.http() as http:
        whole = http.post("/v1/embeddings", json=text).elapsed
        with sent(server, "/v1/embeddings", text):
            wait_for(server, "num_running_reqs", 1)
        assert http.post(CHAT, json=SHORT).elapsed < whole / 2


def test_a_short_answer_does_not_wait_for_a_long_one(server: RunningServer):
    with answering(server) as (http, _running, lines):
        assert http.post(CHAT, json=SHORT).status_code == 200
        wait_for(server, "num_running_reqs", 1)
        assert next(line for line in lines if line).startswith("data: ")


def test_answers_are_computed_together_and_each_is_its_own(server: RunningServer):
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
    answers: dict[str, str] = {}

    def ask(word: str) -> None:
        body = {
            "messages": [{"role": "user", "content": "?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "word", "schema": {"const": word}},
            },
        }
        reply = post(server.address + CHAT, json=body)
        choices = reply.json().get("choices")
        answers[word] = choices[0]["message"]["content"].strip() if choices else reply.text

    threads = [threading.Thread(target=ask, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert answers == {word: f'"{word}"' for word in words}


def test_requests_are_answered_again_after_the_engine_was_killed(server: RunningServer):
    engine = engine_of(server)
    with answering(server) as (http, _running, lines):
        engine.kill()
        rest = [line for line in lines if line.startswith("data: ")]
        assert "error" in json.loads(rest[-1].removeprefix("data: "))
        assert http.post(CHAT, json=SHORT).status_code == 200


def engine_of(server: RunningServer) -> psutil.Process:
    return programs_below(server.process.pid, ChildKind.ENGINE.value.module)[0]


def test_a_server_whose_engine_keeps_dying_ends_with_its_reason(shallow_starter: Path):
    with started(shallow_starter) as server, server.http() as http:
        for _ in range(3):
            engine_of(server).kill()
            wait_until(lambda: http.post(CHAT, json=SHORT).status_code == 200)
        engine_of(server).kill()
        _, errors = server.process.communicate(timeout=PATIENCE_S)
    assert server.process.returncode == 4
    assert "The engine stopped 4 times within 5 minutes" in errors
    assert "Traceback" not in errors


def test_tokens_are_counted_while_an_answer_is_generated(server: RunningServer):
    with answering(server) as (http, _running, _lines):
        assert http.post("/tokenize", json={"content": "hello"}).json()["count"] == 1
        wait_for(server, "num_running_reqs", 1)


def test_a_word_of_a_megabyte_is_refused_and_no_reason_to_ask_again(server: RunningServer):
    word = "漢" * 300_000
    asked = {
        CHAT: {"messages": [{"role": "user", "content": word}]},
        "/v1/completions": {"prompt": word},
        "/tokenize": {"prompt": word},
    }
    with server.http() as http:
        for path, body in asked.items():
            refused = http.post(path, json=body)
            assert refused.status_code == 400, path
            assert refused.json()["error"]["type"] == "invalid_request_error"
            assert "Retry-After" not in refused.headers


def test_signs_of_life_come_while_a_request_waits(single: RunningServer):
    server = single
    with (
        answering(server) as (_http, _running, _lines),
        httpx2.stream(
            "POST", server.address + CHAT, json=SHORT | {"stream": True}, timeout=PATIENCE_S
        ) as waiting,
    ):
        pings = waiting.iter_lines()
        assert next(pings) == ": ping"


def test_running_answers_end_before_the_server(start_server: StartServer):
    server = start_server()
    with answering(server, max_tokens=16) as (_http, _running, lines):
        server.process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2].removeprefix("data: "))["choices"][0]["finish_reason"]
    assert server.process.wait(PATIENCE_S) == 0


def test_answers_that_outlast_the_drain_end_with_an_error(single: RunningServer):
    server = single
    waiting: list[httpx2.Response] = []

    def ask() -> None:
        waiting.append(post(server.address + CHAT, json=SHORT))

    asker = threading.Thread(target=ask)
    with answering(server) as (_http, _running, lines):
        asker.start()
        wait_for(server, "num_waiting_reqs", 1)
        server.process.send_signal(signal.SIGTERM)
        last = [line for line in lines if line][-1]
    asker.join(PATIENCE_S)
    assert waiting
    errors = [json.loads(last.removeprefix("data: ")), waiting[0].json()]
    assert [each["error"]["code"] for each in errors] == ["shutting_down"] * 2
    assert waiting[0].status_code == 503
    _, complaints = server.process.communicate(timeout=PATIENCE_S)
    assert server.process.returncode == 0
    assert "Traceback" not in complaints


@pytest.mark.slow
def test_an_engine_that_does_not_react_cannot_withhold_that_error(start_server: StartServer):
    server = start_server("--parallel", "1", "--drain-timeout", "0.3")
    engine = engine_of(server)
    with answering(server) as (_http, _running, lines):
        engine.suspend()
        server.process.send_signal(signal.SIGTERM)
        last = [line for line in lines if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    _, complaints = server.process.communicate(timeout=PATIENCE_S)
    assert server.process.returncode == 0
    assert "Traceback" not in complaints


def test_a_server_whose_model_is_refused_ends_with_its_reason(tmp_path: Path):
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF but not really" * 10)
    server = start(wrong, wait=False)
    _, errors = server.process.communicate(timeout=PATIENCE_S)
    assert server.process.returncode == 3
    assert "Traceback" not in errors


def test_metrics_count_what_was_answered(server: RunningServer):
    def values() -> dict[str, float]:
        lines = get(server.address + "/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name.removeprefix("deepseek_r1:"): float(value) for name, value in pairs}

    wait_for(server, "num_running_reqs", 0)
    before = values()
    with server.client() as client:
        model = client.models.list().data[0].id
        client.completions.create(model=model, prompt="One, two,", max_tokens=3)
    after = values()
    grown = {name: after[name] - before[name] for name in after if name in before}
    assert grown["generation_tokens_total"] in (1, 2, 3)
    assert grown["time_to_first_token_seconds_count"] == 1
    assert after["num_requests_running"] == 0
