"""How soon a chat goes on: never closed, reopened from disk, and read again.

    python tests/benchmarks/bench_warm_chats.py MODEL.gguf [--tokens 2000]
        [--budget 2048] [--kv-type f16] [--repeats 3] [--greedy]

Each case has an engine's process of its own, which the window would have too. The model's file is
dropped from the page cache before. Prints one JSON object:

`opened_s` from opening the chat to its restored cells, `first_token_s` from the message to the
first token (of the engine's own clock), `cached` tokens of the prompt that were not computed. The
follow-up comes after an answer of 400 tokens and its thinking: "unprepared" computes that answer
again without its thinking when the message comes; "prepared" had it computed while the user read.
Texts of a model with random weights do not matter; the numbers of tokens are the same in all cases.
Times of what is not computed again are medians of `--repeats` runs. `goals` has the ratios beside
their limits. With `--greedy` answers are reproducible: they compute up to 127 tokens more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "app")]

from deepseek_r1.catalogue.model_bill import model_bill
from deepseek_r1.core.events import GenerationFinished, GenerationStats, PromptCacheState
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.formats import gguf
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import PromptCacheFolder

Numbers = dict[str, float]

ANSWER_TOKENS = 400
NEXT = "And what follows from that?"
ONE_TOKEN = SamplingSettings(max_tokens=1)
VOCABULARY = ("the", "light", "sky", "of", "blue", "is", "in", "air", "and", "wave")


def text(tokens: int, seed: int) -> str:
    """About so many tokens of ordinary words."""
    return " ".join(VOCABULARY[(n * n + seed * n) % len(VOCABULARY)] for n in range(tokens))


def conversation(tokens: int) -> list[Message]:
    """A chat of about so many tokens that ends with an answer of 400."""
    rest = max(16, tokens - ANSWER_TOKENS)
    chat = []
    for number in range(3):
        chat.append(Message(role=Role.USER, content=text(rest // 4, number + 1)))
        if number < 2:
            chat.append(Message(role=Role.ASSISTANT, content=text(rest // 8, number + 7)))
    return [*chat, Message(role=Role.ASSISTANT, content=text(ANSWER_TOKENS, 11))]


@contextmanager
def engine(
    model: Path, settings: LoadSettings, folder: PromptCacheFolder | None
) -> Iterator[EngineClient]:
    """A loaded model in a process of its own, its file not in the page cache."""
    handle = os.open(model, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
    with EngineClient() as client:
        client.load(model, settings, prompt_cache=folder)
        yield client


def asked(
    client: EngineClient, messages: Sequence[Message], sampling: SamplingSettings
) -> GenerationStats:
    *_, last = client.generate(messages, sampling)
    assert isinstance(last, GenerationFinished)
    return last.stats


def first_token(
    client: EngineClient, messages: Sequence[Message], sampling: SamplingSettings
) -> Numbers:
    stats = asked(client, messages, sampling)
    return {
        "first_token_s": round(stats.ttft_s, 3),
        "prompt": stats.prompt_tokens,
        "cached": stats.cached_tokens,
        "peak_mib": round(stats.peak_mib),
    }


def median(runs: Sequence[Numbers]) -> Numbers:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def goals(report: dict[str, Numbers], *, streams: bool) -> dict[str, dict[str, float | bool]]:
    """Ratios of the first token's times, beside the limits that they should keep."""

    def ratio(above: str, below: str) -> float:
        return report[above]["first_token_s"] / report[below]["first_token_s"]

    def most(value: float, limit: float) -> dict[str, float | bool]:
        return {"is": round(value, 2), "at most": limit, "met": value <= limit}

    def least(value: float, limit: float) -> dict[str, float | bool]:
        return {"is": round(value, 1), "at least": limit, "met": value >= limit}

    prepared = report["follow-up, prepared"]
    computed = prepared["prompt"] - prepared["cached"]
    return {
        "reopened : never closed": most(ratio("reopened", "never closed"), 1.15),
        "read again : reopened": least(ratio("read again", "reopened"), 40 if streams else 1),
        "follow-up unprepared : prepared": least(
            ratio("follow-up, unprepared", "follow-up, prepared"), 20
        ),
        "tokens computed in the prepared follow-up": most(computed, 16),
    }


def never_closed(
    client: EngineClient, following: Sequence[Message], given: argparse.Namespace
) -> Numbers:
    """The chat before its last message is in the cells; so it is again before each run."""
    runs = []
    for _ in range(given.repeats):
        runs.append(first_token(client, following, given.sampling))
        list(client.prepare(following[:-1], owner="1", compute=False))
    return median(runs)


def measure(given: argparse.Namespace, settings: LoadSettings) -> dict[str, object]:
    model, sampling = given.model, given.sampling
    thought = SamplingSettings(max_tokens=given.thinking)
    chat = conversation(given.tokens)
    following = [*chat, Message(role=Role.USER, content=NEXT)]
    cases: dict[str, Numbers] = {}
    with tempfile.TemporaryDirectory(dir=model.parent) as place:
        folder = PromptCacheFolder(path=place)
        with engine(model, settings, folder) as client:
            began = time.perf_counter()
            events = list(client.prepare(chat, owner="1"))
            state = next(e for e in reversed(events) if isinstance(e, PromptCacheState))
            cases["read and saved"] = {
                "seconds": round(time.perf_counter() - began, 2),
                "disk_mib": round(state.disk_mib, 1),
            }
            cases["never closed"] = never_closed(client, following, given)
            asked(client, chat[:-1], thought)
            began = time.perf_counter()
            list(client.prepare(chat, owner="1"))
            prepared_s = time.perf_counter() - began
            cases["follow-up, prepared"] = {
                "prepared_s": round(prepared_s, 2),
                **never_closed(client, following, given),
            }
        reopened = []
        for _ in range(given.repeats):
            with engine(model, settings, folder) as client:
                began = time.perf_counter()
                list(client.prepare(chat, owner="1", compute=False))
                opened_s = round(time.perf_counter() - began, 3)
                reopened.append({"opened_s": opened_s, **first_token(client, following, sampling)})
        cases["reopened"] = median(reopened)
        with engine(model, settings, folder) as client:
            cases["reopened, sent at once"] = first_token(client, following, sampling)
        with engine(model, settings, None) as client:
            cases["read again"] = first_token(client, following, sampling)
            asked(client, chat[:-1], thought)
            cases["follow-up, unprepared"] = first_token(client, following, sampling)
            streams = model_bill(gguf, model, settings, 0.0).bill.streams
    return {
        "model": model.name,
        "budget_mib": settings.memory_budget,
        "kv_type": settings.kv_type.value,
        "streams": streams,
        **cases,
        "goals": goals(cases, streams=streams),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--budget", type=int, default=2048)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--kv-type", type=KVType, default=KVType.F16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--thinking", type=int, default=600, help="its length changes nothing")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--greedy", action="store_true")
    given = parser.parse_args()
    given.sampling = ONE_TOKEN
    if given.greedy:
        given.sampling = ONE_TOKEN.model_copy(update={"temperature": 0.0})
    settings = LoadSettings(
        memory_budget=given.budget,
        context_length=given.context,
        kv_type=given.kv_type,
        threads=given.threads,
        threads_prefill=given.threads,
        swap_enabled=True,
    )
    print(json.dumps(measure(given, settings), indent=1))


if __name__ == "__main__":
    main()
