"""How fast is `CPUInference` beside llama.cpp alone? Both in one run, turn by turn.

    python tests/benchmarks/bench_engine.py [--blocks 6] [--model FILE] [--threads N] [--json]

Each block is bare, ours, ours, bare, with the same prompt, seed, samplers and context, from an
empty cache. "Bare" is the shortest loop over llama.cpp's C functions: no text, no events, and its
samplers without the one that we put before them (`engine/llama/sampler.py`). Prefill
is timed from the request to the first sampled token (our template and tokeniser included),
decode from there to the last token. The ratio is ours / bare in tokens a second, its interval a
bootstrap over the blocks (95 %).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))
from deepseek_r1.host.environment import engine_environment

os.environ.update(engine_environment())  # as the host starts it; before OpenMP is loaded

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.runner import LlamaEngine
from deepseek_r1.hardware import cpu, machine_memory_mib

PREFILL, DECODE = 512, 128


@dataclass(frozen=True)
class Run:
    """Tokens a second."""

    prefill: float
    decode: float


class Bench:
    def __init__(self, path: Path, threads: int) -> None:
        settings = LoadSettings(
            memory_budget=65536,
            context_length=1024,
            kv_type=KVType.F16,
            threads=threads,
            threads_prefill=threads,
        )
        self.model = CPUInference(path, settings=settings)
        engine = self.model._engine
        assert isinstance(engine, LlamaEngine)
        self.engine, self.api = engine, engine._library.api
        # The weights are shared, the context is not: buffers and cache of the same shape.
        self.bare_context = LlamaContext(
            engine._library,
            engine._model,
            ContextParams(
                settings.context_length, settings.micro_batch, settings.kv_type, 1, *engine.threads
            ),
        )
        null = self.api.ggml_abort_callback()
        self.api.llama_set_abort_callback(self.bare_context.pointer, null, None)

    def prompt(self, number: int) -> list[Message]:
        """A conversation of exactly `PREFILL` tokens."""
        words = f"Story {number}: write on and on about a dragon."
        while self._length(words) < PREFILL:
            words += " word"
        assert self._length(words) == PREFILL
        return [Message(role=Role.USER, content=words)]

    def _length(self, words: str) -> int:
        return self.model.count_tokens([Message(role=Role.USER, content=words)])

    def ours(self, messages: list[Message], sampling: SamplingSettings) -> Run:
        self.engine._context.clear()
        began = time.perf_counter()
        first, tokens = 0.0, 0
        for event in self.model.stream(messages, sampling=sampling):
            if isinstance(event, GenerationFinished):
                tokens = event.stats.completion_tokens
                first = began + event.stats.ttft_s
        ended = time.perf_counter()
        return Run(PREFILL / (first - began), (tokens - 1) / (ended - first))

    def bare(self, messages: list[Message], sampling: SamplingSettings) -> Run:
        api, context = self.api, self.bare_context
        prompt = self.engine._prompts.build(messages)[0]
        native, size = context.pointer, context.params.micro_batch
        vocab, decode, sample = self.engine._model.vocab, api.llama_decode, api.llama_sampler_sample
        is_end = api.llama_vocab_is_eog
        chain = plain_chain(api, sampling)
        api.llama_memory_clear(context.memory, False)
        began = time.perf_counter()
        for start in range(0, len(prompt), size):
            part = (api.llama_token * len(prompt[start : start + size]))(
                *prompt[start : start + size]
            )
            decode(native, api.llama_batch_get_one(part, len(part)))
        one = (api.llama_token * 1)()
        batch = api.llama_batch_get_one(one, 1)
        one[0] = sample(chain, native, -1)
        first, tokens = time.perf_counter(), 1
        while tokens < sampling.max_tokens and not is_end(vocab, one[0]):
            decode(native, batch)
            one[0] = sample(chain, native, -1)
            tokens += 1
        ended = time.perf_counter()
        api.llama_sampler_free(chain)
        return Run(len(prompt) / (first - began), (tokens - 1) / (ended - first))

    def lasting_seed(self, messages: list[Message]) -> SamplingSettings:
        """Sampling under which the model writes the full `DECODE` tokens."""
        for seed in range(1, 100):
            sampling = SamplingSettings(seed=seed, max_tokens=DECODE)
            if self.model.complete(messages, sampling=sampling).stats.completion_tokens == DECODE:
                return sampling
        raise SystemExit("no seed makes this model write long enough")


def plain_chain(api: Any, sampling: SamplingSettings) -> Any:
    """Top-p, temperature and a draw as llama.cpp has them; to be freed."""
    chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
    for sampler in (
        api.llama_sampler_init_top_p(sampling.top_p, 1),
        api.llama_sampler_init_temp(sampling.temperature),
        api.llama_sampler_init_dist(sampling.seed),
    ):
        api.llama_sampler_chain_add(chain, sampler)
    return chain


def ratio(bare: list[list[float]], ours: list[list[float]]) -> tuple[float, float, float]:
    """Ours / bare over all blocks, with the 95 % interval of a bootstrap over blocks."""
    blocks = [statistics.mean(o) / statistics.mean(b) for b, o in zip(bare, ours, strict=True)]
    draw = random.Random(1)
    means = sorted(statistics.median(draw.choices(blocks, k=len(blocks))) for _ in range(2000))
    return statistics.median(blocks), means[50], means[-51]


def measure(bench: Bench, blocks: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    rates: dict[str, dict[str, list[list[float]]]] = {
        phase: {"bare": [], "ours": []} for phase in ("prefill", "decode")
    }
    for number in range(-1, blocks):
        messages = bench.prompt(number)
        sampling = bench.lasting_seed(messages)
        block: dict[str, list[Run]] = {"bare": [], "ours": []}
        for arm in ("bare", "ours", "ours", "bare"):
            block[arm].append(getattr(bench, arm)(messages, sampling))
        if number < 0:  # warm-up: pages, caches, the pace of prefill
            continue
        for phase, arms in rates.items():
            for arm, runs in block.items():
                arms[arm].append([getattr(run, phase) for run in runs])
    for phase, arms in rates.items():
        middle, low, high = ratio(arms["bare"], arms["ours"])
        result[phase] = {
            arm: statistics.median(rate for block in runs for rate in block)
            for arm, runs in arms.items()
        } | {"ratio": middle, "low": low, "high": high}
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--blocks", type=int, default=6)
    arguments.add_argument("--model", type=Path, default=starter_model())
    arguments.add_argument("--threads", type=int, default=0)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    bench = Bench(given.model, given.threads)
    processor = cpu()
    report = {
        "machine": f"{processor.name}, {processor.usable_cores} cores, "
        f"{machine_memory_mib():.0f} MiB, {platform.platform()}",
        "engine": bench.model.loaded.facts.engine,
        "model": bench.model.loaded.facts.path.rsplit("/", 1)[-1],
        "threads": bench.model.threads[0],
        "prefill_tokens": PREFILL,
        "decode_tokens": DECODE,
        "blocks": given.blocks,
        **measure(bench, given.blocks),
    }
    bench.bare_context.close()
    bench.model.close()
    if given.json:
        print(json.dumps(report))
        return
    print(
        f"{report['machine']}\n{report['engine']}, {report['model']}, {report['threads']} threads"
    )
    for phase in ("prefill", "decode"):
        row = report[phase]
        print(
            f"{phase:8} bare {row['bare']:8.2f} tok/s   ours {row['ours']:8.2f} tok/s   "
            f"ratio {row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        )


if __name__ == "__main__":
    main()
