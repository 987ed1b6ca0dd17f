"""Counts and times of the server, for Prometheus. The names follow vLLM's."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from deepseek_r1.core.events import (
    AnswerDelta,
    Event,
    GenerationFinished,
    GenerationStats,
    ThinkingDelta,
)
from deepseek_r1.host.protocol import Heartbeat
from deepseek_r1.server.admission import FairQueue
from deepseek_r1.server.async_engine import AsyncEngine

PREFIX = "deepseek_r1:"
_FIRST_TOKEN_S = (0.05, 0.1, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
_TOKEN_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_REQUEST_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)


class ServeMetrics:
    """The metrics of one server, with a registry of its own. For one event loop."""

    def __init__(self, engine: AsyncEngine, queue: FairQueue) -> None:
        self._registry = CollectorRegistry()
        self._add_gauges(engine, queue)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=self._registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(PREFIX + name, text, buckets=buckets, registry=self._registry)

        self._prompt = counter("prompt_tokens", "Tokens of prompts, cached ones included.")
        self._cached = counter("prefix_cache_hits", "Tokens of prompts found in the KV cache.")
        self._generated = counter("generation_tokens", "Tokens of answers.")
        self._thinking = counter("reasoning_tokens", "Tokens of thinking, a part of the answers.")
        self._read = counter("weights_read_bytes", "Bytes of weights read from the disk.")
        self._finished = counter("request_success", "Answers by finish reason.", "reason")
        self._failed = counter("request_errors", "Requests that ended with an error.", "code")
        self._first = histogram(
            "time_to_first_token_seconds", "From the request to the first token.", _FIRST_TOKEN_S
        )
        self._between = histogram("time_per_output_token_seconds", "Between tokens.", _TOKEN_S)
        self._total = histogram("e2e_request_latency_seconds", "From request to end.", _REQUEST_S)

    def _add_gauges(self, engine: AsyncEngine, queue: FairQueue) -> None:

        def gauge(name: str, text: str, read: Callable[[], float]) -> None:
            Gauge(PREFIX + name, text, registry=self._registry).set_function(read)

        def gauge_of_beat(name: str, text: str, read: Callable[[Heartbeat], float]) -> None:
            gauge(name, text, lambda: read(beat) if (beat := engine.heartbeat) else 0.0)

        gauge("num_requests_running", "Answers that are computed.", lambda: queue.running)
        gauge("num_requests_waiting", "Requests in the queue.", lambda: queue.waiting)
        gauge_of_beat(
            "kv_cache_usage_perc",
            "The share of the KV cache in use, 0 to 1.",
            lambda beat: beat.context_used / max(beat.context_length, 1),
        )
        gauge_of_beat("engine_memory_mib", "Memory of the engine's process.", lambda b: b.rss_mib)
        gauge_of_beat("engine_memory_peak_mib", "The peak of that memory.", lambda b: b.peak_mib)
        gauge_of_beat("engine_cpu_seconds", "The engine's processor time.", lambda b: b.cpu_s)
        gauge_of_beat(
            "memory_budget_mib",
            "The memory budget in force.",
            lambda beat: beat.memory.budget_mib if beat.memory is not None else 0.0,
        )
        gauge("engine_ready", "1 while requests are answered.", lambda: float(engine.ready))

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def failed(self, code: str) -> None:
        self._failed.labels(code).inc()

    def timer(self) -> Callable[[Event], None]:
        """Return what records the events of a request that begins now, as they arrive."""
        began, waiting = time.monotonic(), True

        def on_event(event: Event) -> None:
            nonlocal waiting
            seconds = time.monotonic() - began
            if waiting and isinstance(event, AnswerDelta | ThinkingDelta):
                waiting = False
                self._first.observe(seconds)
            elif isinstance(event, GenerationFinished):
                self._record(event.stats, seconds)

        return on_event

    def _record(self, stats: GenerationStats, seconds: float) -> None:
        self._prompt.inc(stats.prompt_tokens)
        self._cached.inc(stats.cached_tokens)
        self._generated.inc(stats.completion_tokens)
        self._thinking.inc(stats.thinking_tokens)
        self._finished.labels(stats.finish_reason.value).inc()
        if stats.weights is not None:
            self._read.inc(stats.weights.read_mib * 2**20)
        if stats.completion_tokens > 1:
            self._between.observe(stats.decode_s / (stats.completion_tokens - 1))
        self._total.observe(seconds)
