"""How fast is `CPUInference` beside llama.cpp alone? Both in one run, turn by turn.

    python bench/bench_engine.py [MODEL] [--blocks 6] [--threads N] [--json]

Each block is bare, ours, ours, bare, or begins with ours, with the same prompt, seed, samplers and
context, from an empty cache. "Bare" is the shortest loop over llama.cpp's C functions: no text, no
events, and its samplers without the one that we put before them
(`engine/llama/answer/samplers.py`).
Prefill is timed from the request to the first sampled token (our template and tokeniser included),
decode from there to the last token. The ratio is ours / bare in tokens a second.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from deepseek_r1.host.supervisor import engine_environment

os.environ.update(engine_environment())  # as the host starts it; before OpenMP is loaded

from bench.runner import Report, argument_parser, in_turns, middle, ratio
from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.binding.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.runner import LlamaEngine

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
        *_, last = self.model.stream(messages, sampling=sampling)
        ended = time.perf_counter()
        assert isinstance(last, GenerationFinished)
        first_s, tokens = last.stats.ttft_s, last.stats.completion_tokens
        return Run(PREFILL / first_s, (tokens - 1) / (ended - began - first_s))

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


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    bench = Bench(given.model, given.threads)
    report = Report(
        given, arms="bare, ours", engine=bench.model.loaded.facts.engine,
        threads=bench.model.threads[0], blocks=given.blocks,
    )  # fmt: skip

    @cache
    def work(number: int) -> tuple[list[Message], SamplingSettings]:
        messages = bench.prompt(number)
        return messages, bench.lasting_seed(messages)

    runs = in_turns(["bare", "ours"], given.blocks, lambda arm, n: getattr(bench, arm)(*work(n)))
    for phase in ("prefill", "decode"):
        bare, ours = (
            [[getattr(run, phase) for run in block] for block in runs[arm]]
            for arm in ("bare", "ours")
        )
        found = ratio(ours, bare)
        report.row(
            f"{phase:8} bare {middle(bare):8.2f} tok/s   ours {middle(ours):8.2f} tok/s   "
            f"ratio {found}",
            phase=phase, bare=middle(bare), ours=middle(ours), **found._asdict(),
        )  # fmt: skip
    report.end()
    bench.bare_context.close()
    bench.model.close()


if __name__ == "__main__":
    main()
