"""Clients of a server that leave early, send garbage or any value, or come without a key."""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.server.api_requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeBody,
    EmbeddingsRequest,
    TokenizeBody,
)

KEY = "a-key-for-hostile-clients"
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
END_S = 600.0
WARM_WORD = "word " * 40
BODIES: dict[str, tuple[type, dict[str, Any]]] = {
    CHAT: (ChatRequest, {"messages": [{"role": "user", "content": "?"}]}),
    TEXT: (CompletionRequest, {"prompt": "One"}),
    "/v1/embeddings": (EmbeddingsRequest, {"input": "One"}),
    "/tokenize": (TokenizeBody, {"prompt": "One"}),
    "/detokenize": (DetokenizeBody, {"tokens": [1]}),
}
SCALARS = (None, True, False, -3, -1, 0, 1, 2, 3, -(2**70), 2**70, 0.5, 1e308, float("nan"),
           float("inf"), "", "a", "漢\ud800", "user", "system", "assistant", "tool", "text",
           "json_schema", "base64")  # fmt: skip
KEYS = ("role", "content", "type", "text", "tool_calls", "function", "arguments", "json_schema",
        "schema", "$ref", "enum", "name", "1", "-1")  # fmt: skip


@dataclass
class Seen:
    """The outcomes of requests. All clients' threads add to it."""

    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def reply(self, kind: str, status: int, text: str) -> None:
        """Count a reply. Status 500 and one that is not OpenAI's error shape are faults."""
        self.statuses[f"{kind} {status}"] += 1
        if status == 500 or (status >= 400 and '"error"' not in text):
            self.faults.append(f"{kind}: status {status}: {text[:200]}")


class Client:
    """One client, which does one thing after the other. For one thread."""

    def __init__(self, address: str, seed: int, seen: Seen) -> None:
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        self._http = httpx2.Client(
            base_url=address, timeout=END_S, headers={"Authorization": f"Bearer {KEY}"}
        )
        self._anyone = httpx2.Client(base_url=address, timeout=END_S)
        self._random, self._seen = random.Random(seed), seen
        self._kinds: dict[str, Callable[[], None]] = {
            "answer": self.answer,
            "stream": self.stream,
            "leaves": self.leaves,
            "leaves unread": self.leaves_unread,
            "garbage": self.garbage,
            "half a request": self.half_a_request,
            "any values": self.any_values,
            "long word": self.long_word,
            "wrong types": self.wrong_types,
            "many tokens": self.many_tokens,
            "no key": self.no_key,
            "texts": self.texts,
        }

    def do_one_thing(self) -> None:
        """Do something, chosen at random."""
        kind = self._random.choice(list(self._kinds))
        try:
            self._kinds[kind]()
        except (OSError, httpx2.HTTPError) as error:
            self._seen.faults.append(f"{kind}: {error!r}")
        self._seen.kinds[kind] += 1

    def close(self) -> None:
        """Close its connections."""
        self._http.close()
        self._anyone.close()

    def _body(self, **fields: Any) -> dict[str, Any]:
        words = WARM_WORD * self._random.randrange(1, 5)
        content = f"{self._random.randrange(1000)} {words}"
        most = self._random.choice((1, 8, 40))
        return {"messages": [{"role": "user", "content": content}], "max_tokens": most, **fields}

    def _post(self, kind: str, path: str, body: object) -> None:
        data = json.dumps(body).encode()
        reply = self._http.post(path, content=data, headers={"Content-Type": "application/json"})
        self._seen.reply(kind, reply.status_code, reply.text)

    def answer(self) -> None:
        """Ask, and read the answer."""
        self._post("answer", CHAT, self._body())

    def stream(self) -> None:
        """Read a stream to its end."""
        with self._http.stream("POST", CHAT, json=self._body(stream=True)) as reply:
            text = reply.read().decode()
        self._seen.reply("stream", reply.status_code, text)
        if reply.status_code == 200 and not text.rstrip().endswith("data: [DONE]"):
            self._seen.faults.append(f"stream: it ended with {text[-200:]!r}")

    def leaves(self) -> None:
        """Leave in the middle of a stream."""
        body = self._body(stream=True, max_tokens=400)
        with self._http.stream("POST", CHAT, json=body) as reply:
            lines = reply.iter_lines()
            for _ in range(self._random.randrange(1, 6)):
                next(lines, None)

    def leaves_unread(self) -> None:
        """Send a whole request and leave at once."""
        data = json.dumps(self._body(stream=self._random.random() < 0.5)).encode()
        with self._connection() as connection:
            connection.sendall(self._head(CHAT, len(data)) + data)
            time.sleep(self._random.random())

    def garbage(self) -> None:
        """Send what is no HTTP, or too much of it."""
        some = self._random.randbytes(self._random.randrange(1, 4000))
        lines = self._random.choice(
            (
                some,
                b"GET /" + some.hex().encode() + b" HTTP/1.1\r\n\r\n",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{}",
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + some,
                b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
                self._head(CHAT, len(some)) + some,
            )
        )
        with self._connection() as connection:
            try:
                connection.sendall(lines)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
            except ConnectionError:
                pass  # the server has closed it, which is right

    def half_a_request(self) -> None:
        """Announce a body and send half of it."""
        data = json.dumps(self._body()).encode()
        with self._connection() as connection:
            connection.sendall(self._head(CHAT, len(data)) + data[: len(data) // 2])

    def long_word(self) -> None:
        """Ask with a word of 1 MB."""
        letter = self._random.choice("aé漢\u200b")
        word = letter * ((1 << 20) // len(letter.encode()))
        path = self._random.choice((CHAT, "/tokenize", TEXT))
        body = {CHAT: self._body(messages=[{"role": "user", "content": word}])}
        self._post("long word", path, body.get(path, {"prompt": word, "max_tokens": 1}))

    def wrong_types(self) -> None:
        """Send JSON that is no request."""
        deep: Any = 0
        for _ in range(500):
            deep = [deep]
        wrong = (
            deep,
            None,
            [],
            {"messages": deep},
            self._body(messages=[{"role": "no", "content": 5}]),
            self._body(temperature="hot"),
            self._body(max_tokens=-1),
            self._body(max_tokens=1e400),
            self._body(logit_bias={"x": 1, "99999999999": 5}),
            self._body(stop=["\ud800"] * 9),
            self._body(n=10**9),
            self._body(seed=2**70),
            self._body(response_format={"type": "json_schema", "json_schema": {"schema": deep}}),
            {"prompt": [2**40, -1]},
        )
        path = self._random.choice((CHAT, TEXT, "/tokenize", "/detokenize", "/v1/embeddings"))
        self._post("wrong types", path, self._random.choice(wrong))

    def any_values(self) -> None:
        """Send a right body but for some fields, whose values are anything."""
        path = self._random.choice(list(BODIES))
        model, right = BODIES[path]
        fields = sorted({*model.model_fields, *SamplingSettings.model_fields})
        changed = {self._random.choice(fields): self._value() for _ in range(3)}
        body = {"max_tokens": 2, **right, **changed}
        if isinstance(body["max_tokens"], int) and not body.get("max_completion_tokens"):
            body["max_completion_tokens"] = 2
        self._post(f"any values, {changed!r},", path, body)

    def _value(self, depth: int = 0) -> Any:
        choice = self._random.randrange(4 if depth < 3 else 2)
        if choice == 2:
            return [self._value(depth + 1) for _ in range(self._random.randrange(3))]
        if choice == 3:
            return {self._random.choice(KEYS): self._value(depth + 1) for _ in range(2)}
        return self._random.choice(SCALARS)

    def many_tokens(self) -> None:
        """Ask for 10^9 tokens; the server has a limit of its own."""
        self._post("many tokens", CHAT, self._body(max_tokens=10**9))

    def no_key(self) -> None:
        """Try a path without the key."""
        path = self._random.choice(("/v1/models", "/metrics", "/v1/loads", "/tokenize", CHAT, "/"))
        reply = self._anyone.request(self._random.choice(("GET", "POST")), path)
        self._seen.reply("no key", reply.status_code, reply.text)
        if reply.status_code != 401:
            self._seen.faults.append(f"{path} without the key: status {reply.status_code}")
        if self._anyone.get("/health").status_code != 200:
            self._seen.faults.append("/health did not answer")

    def texts(self) -> None:
        """Tokenise, embed and continue texts."""
        self._post("texts", "/tokenize", {"prompt": WARM_WORD})
        self._post("texts", "/v1/embeddings", {"input": ["one", WARM_WORD]})
        self._post("texts", TEXT, {"prompt": WARM_WORD, "max_tokens": 8, "logprobs": 2})

    def _connection(self) -> socket.socket:
        return socket.create_connection((self._host, self._port), timeout=END_S)

    def _head(self, path: str, length: int) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()
