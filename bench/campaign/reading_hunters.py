"""Hunters of readers: inputs that grow, and clients whose files are read; see `campaign`."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil

from bench.campaign.campaign import Case
from bench.campaign.document_hunter import ATTACKS, mutants
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.processes import ChildKind
from support import document_files, growing_inputs, growth
from support.patience import PATIENCE_S
from support.processes import programs_below
from support.servers import RunningServer, started

BUDGET_MIB = 512  # of which a streamed model takes what documents leave
HONEST_S, HEALTH_S = 60.0, 5.0  # on a busy machine; a hostile file is read for longer
LONG_PDF = document_files.pdf([document_files.pdf_lines("a")] * 9_900)


def growing(seed: int, _folder: Path) -> Iterator[Case]:
    """Texts of repeated pieces, for everything that reads foreign text: in linear time."""
    chosen = random.Random(seed)
    readers = growing_inputs.documents() + growing_inputs.requests() + growing_inputs.window_texts()
    pieces = [piece for each in readers if (piece := each.make(40)[:20])]
    while True:
        reader = chosen.choice(readers)
        start, piece, end = ("".join(chosen.sample(pieces, chosen.randrange(1, 3))) for _ in "123")

        def read(length: int) -> None:
            reader.read(start + piece * (length // len(piece)) + end)  # noqa: B023

        power = growth.exponent(read, 1_000, min(reader.most, 1 << 18))
        slow = power > growth.MOST_EXPONENT
        shown = f"{reader.name}: {start!r} {piece!r} {end!r}: {power:.2f}"
        yield Case("read", shown if slow else "", shown)


def uploads(seed: int, folder: Path) -> Iterator[Case]:
    """Files of several clients, some of which leave: others are served, and the budget holds."""
    chosen, place = random.Random(seed), folder / "uploads"
    place.mkdir()
    broken, names = mutants(seed), sorted(ATTACKS)
    options = ("--memory-budget", str(BUDGET_MIB), "--swap-enabled", "--max-tokens", "8")
    with started(starter_model(), *options) as server, contextlib.ExitStack() as stack:
        hostile = stack.enter_context(_client(server, 2))
        honest = stack.enter_context(_client(server, 3))
        while True:
            kind = chosen.choice(("attack", "broken", "leaves"))
            name, data = "long.pdf", LONG_PDF
            if kind == "attack":
                name = chosen.choice(names)
                ATTACKS[name]()(place / name, "http://127.0.0.1:9")
                data = (place / name).read_bytes() if (place / name).stat().st_size < 2**25 else b""
                (place / name).unlink()
            elif kind == "broken":
                suffix, data = next(broken)
                name = f"changed.{suffix}"
            patience_s = chosen.uniform(0.2, 2.0) if kind == "leaves" else 4.0
            sending = threading.Thread(target=_send, args=(hostile, name, data, patience_s))
            sending.start()
            bad = _served(server, honest)
            sending.join()
            yield Case(
                kind, f"{name}: {bad}" if bad else "", data if bad else b"", Path(name).suffix
            )


def _client(server: RunningServer, number: int) -> httpx2.Client:
    """One of an address of its own."""
    transport = httpx2.HTTPTransport(local_address=f"127.0.0.{number}")
    return httpx2.Client(base_url=server.address, transport=transport, timeout=PATIENCE_S)


def _send(client: httpx2.Client, name: str, data: bytes, patience_s: float) -> None:
    """Upload a file, and leave where it is still read after a while."""
    with contextlib.suppress(httpx2.TransportError):
        answer = client.post(
            "/v1/files",
            files={"file": (name, data)},
            data={"purpose": "user_data"},
            timeout=httpx2.Timeout(PATIENCE_S, read=patience_s),
        )
        if answer.status_code == 200:
            client.delete(f"/v1/files/{answer.json()['id']}")


def _served(server: RunningServer, client: httpx2.Client) -> str:
    """Whether another client is served meanwhile; and what the server's processes take."""
    began = time.monotonic()
    if client.get("/health").status_code != 200 or time.monotonic() - began > HEALTH_S:
        return "/health was late"
    form = {"files": {"file": ("a.txt", b"text")}, "data": {"purpose": "user_data"}}
    made = client.post("/v1/files", **form)
    if made.status_code != 200 or time.monotonic() - began > HONEST_S:
        return f"another client: {made.status_code} after {time.monotonic() - began:.0f} s"
    client.delete(f"/v1/files/{made.json()['id']}")
    if len(programs_below(server.process.pid, ChildKind.DOCUMENTS.value.module)) > 3:
        return "too many readers"
    taken_mib = 0.0
    process = psutil.Process(server.process.pid)
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            taken_mib += each.memory_full_info().pss / 2**20
    return f"{taken_mib:.0f} MiB" if taken_mib > BUDGET_MIB else ""


READING_HUNTERS = {"growing inputs": growing, "uploads": uploads}
