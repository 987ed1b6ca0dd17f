"""The numbers of an answer as text: while its prompt is read, and under it."""

import time

from deepseek_r1.core.events import FinishReason, GenerationStats, ModelLoaded
from deepseek_r1.core.i18n import N_, tr, trn
from deepseek_r1.core.model_names import short_name
from deepseek_r1.core.units import format_mib
from r1desk.chat.values.duration import price_text

LEAST_S = 2.0  # of reading, before a rate is worth showing
_REASONS = {
    FinishReason.LENGTH: N_("length limit"),
    FinishReason.CONTEXT: N_("context full"),
    FinishReason.REPETITION: N_("repeated itself"),
    FinishReason.CANCELLED: N_("stopped"),
    FinishReason.ERROR: N_("engine failed"),
}


def stats_line(stats: GenerationStats, model_name: str) -> str:
    """Who wrote it, rate, tokens, and why it ended early."""
    parts = [short_name(model_name), *_rate(stats)] if model_name else _rate(stats)
    if stats.completion_tokens:
        parts.append(trn("{n:,} token", "{n:,} tokens", stats.completion_tokens))
    if reason := _REASONS.get(stats.finish_reason):
        parts.append(tr(reason))
    return " · ".join(parts)


def _rate(stats: GenerationStats) -> list[str]:
    rate = stats.decode_tok_s
    return [tr("{rate} tok/s", rate=f"{rate:.{0 if rate >= 10 else 1}f}")] if rate > 0 else []


def compared_line(stats: GenerationStats, loaded: ModelLoaded | None) -> str:
    """Rate, first token, memory, load and reading from the disk, in which models differ."""
    parts = [
        *_rate(stats),
        tr("First token after {seconds} s", seconds=f"{stats.ttft_s:.1f}"),
        tr("Peak {memory}", memory=format_mib(stats.peak_mib)),
    ]
    if loaded is not None:
        parts.append(tr("Loaded in {seconds:.1f} s", seconds=loaded.load_s))
    if stats.weights is not None:
        each = stats.weights.read_mib / max(1, stats.completion_tokens)
        parts.append(tr("{memory} read per token", memory=format_mib(each)))
    return " · ".join(parts)


def stats_details(stats: GenerationStats, model_name: str) -> str:
    """Every count, one a line."""
    reading = f"{stats.prefill_tok_s:.0f}"
    lines = [
        tr("Read: {count} tokens, {cached} of them remembered",
           count=f"{stats.prompt_tokens:,}", cached=f"{stats.cached_tokens:,}"),
        tr("Reading took {seconds} s ({rate} tok/s)",
           seconds=f"{stats.prefill_s:.1f}", rate=reading),
        tr("First token after {seconds} s", seconds=f"{stats.ttft_s:.1f}"),
        tr("Answer: {count} tokens, {thinking} of them thinking",
           count=f"{stats.completion_tokens:,}", thinking=f"{stats.thinking_tokens:,}"),
        tr("Writing took {seconds} s ({rate} tok/s)",
           seconds=f"{stats.decode_s:.1f}", rate=f"{stats.decode_tok_s:.1f}"),
        tr("Context used: {count} tokens", count=f"{stats.context_used:,}"),
        tr("Seed: {seed}", seed=stats.seed),
    ]  # fmt: skip
    if stats.drafted:
        lines.append(
            tr(
                "Guessed ahead: {right} of {count} tokens were right",
                right=f"{stats.accepted:,}",
                count=f"{stats.drafted:,}",
            )
        )
    if stats.draft_released:
        lines.append(tr("The draft model was unloaded: the model is faster with its memory."))
    if stats.peak_mib:
        lines.append(tr("Most memory in use: {memory}", memory=format_mib(stats.peak_mib)))
    if model_name:
        lines.insert(0, model_name)
    return "\n".join(lines)


def reading_line(done: int, total: int, cached: int, left_s: float | None = None) -> str:
    """Progress of reading the prompt, with the time left where it is known."""
    numbers = {"done": f"{done:,}", "total": f"{total:,}"}
    if cached:
        remembered = f"{cached:,}"
        line = tr(
            "Reading {done} of {total} tokens ({cached} remembered)", cached=remembered, **numbers
        )
    else:
        line = tr("Reading {done} of {total} tokens", **numbers)
    if left_s is None:
        return line
    return f"{line} · {tr('about {duration} left', duration=price_text(left_s))}"


class ReadingEstimate:
    """Estimates when the prompt is read, from the rate so far; one answer at a time."""

    def __init__(self) -> None:
        self._message: int | None = None
        self._first_done = 0
        self._started = 0.0

    def seconds_left(self, message_id: int, done: int, total: int) -> float | None:
        """Seconds until `total` tokens are read; None while that is not known."""
        now = time.monotonic()
        if message_id != self._message or done < self._first_done:
            self._message, self._first_done, self._started = message_id, done, now
            return None
        passed, read = now - self._started, done - self._first_done
        if passed < LEAST_S or read <= 0:
            return None
        return (total - done) * passed / read
