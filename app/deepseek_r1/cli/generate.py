"""`deepseek-r1 generate`: one answer, streamed, or as JSON with all its numbers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from deepseek_r1.cli import options as o
from deepseek_r1.cli import output
from deepseek_r1.cli.answering import (
    INTERRUPTED,
    ShortageTeller,
    interrupting,
    show_progress,
    summary,
)
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import (
    AnswerDelta,
    Bill,
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    ModelLoaded,
    PrefillProgress,
    ThinkingDelta,
    ThinkingFinished,
    WeightsStats,
)
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.schema import MAX_SCHEMA_CHARACTERS, grammar_of
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory import meter
from deepseek_r1.memory.costs import grammar_bytes

_MIB = 1 << 20
_UNFINISHED = GenerationStats(finish_reason=FinishReason.ERROR)


@o.grouped
def generate(
    prompt: Annotated[
        str, typer.Argument(help=tr("The question. “-” reads it from standard input."))
    ] = "-",
    *,
    model: o.ModelPath = None,
    system: o.System = "",
    sampling: SamplingSettings,
    load: o.Load,
    json_schema: Annotated[
        Path | None,
        typer.Option(
            "--json-schema",
            help=tr("A file with a JSON schema that the answer is held to, after the thinking."),
        ),
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Answer one question. The answer goes to standard output, the thinking to the terminal."""
    messages = _conversation(prompt, system)
    schema = _schema(json_schema) if json_schema is not None else ""
    if load.batch_size > 1:
        output.note(
            tr("There is one prompt, so a batch size of {n} changes nothing.", n=load.batch_size)
        )
    answer = Answer()
    path = o.chosen_model(model).absolute()
    # The grammar is there for this one answer, so its room is counted with this process's.
    ours_mib = o.COMMAND_LINE_MIB + (grammar_bytes(read_header(path)) / _MIB if schema else 0.0)
    with EngineClient(on_notice=ShortageTeller()) as engine, interrupting(engine) as pressed:
        loaded = engine.load(path, load.settings, window_mib=ours_mib, on_event=show_progress)
        output.status("")
        if pressed():
            raise typer.Exit(INTERRUPTED)
        for event in engine.generate(messages, sampling, json_schema=schema):
            if pressed():  # perhaps before the engine knew what to end
                engine.cancel()
            answer.take(event)
            if not as_json:
                _show(event)
    if as_json:
        output.result_json(generate_report(answer, loaded))
    else:
        output.answer("\n")
        output.aside(summary(answer.stats))
    if answer.stats.finish_reason is FinishReason.CANCELLED:
        raise typer.Exit(INTERRUPTED)


@dataclass(slots=True)
class Answer:
    """An answer as it is put together from its events."""

    text_parts: list[str] = field(default_factory=list)
    thinking_parts: list[str] = field(default_factory=list)
    stats: GenerationStats = _UNFINISHED

    def take(self, event: Event) -> None:
        """Add what the event brings."""
        match event:
            case AnswerDelta(text=text):
                self.text_parts.append(text)
            case ThinkingDelta(text=text):
                self.thinking_parts.append(text)
            case GenerationFinished(stats=stats):
                self.stats = stats


def generate_report(answer: Answer, loaded: ModelLoaded) -> dict[str, Any]:
    """The JSON contract of `generate`. A resident model streams nothing, and drafts nothing."""
    stats, bill = answer.stats, loaded.bill
    return {
        "text": "".join(answer.text_parts),
        "thinking": "".join(answer.thinking_parts),
        "finish_reason": stats.finish_reason.value,
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.completion_tokens,
        "timings": {
            "load_s": loaded.load_s,
            "ttft_s": stats.ttft_s,
            "prefill_tok_s": stats.prefill_tok_s,
            "decode_tok_s": stats.decode_tok_s,
        },
        "memory": {
            "budget_mb": bill.budget_mib,
            "planned_mb": round(bill.total_mib, 2),
            "peak_mb": round(stats.peak_mib + meter.peak_mib(), 2),
        },
        "weights": _weights_report(stats.weights, bill),
        "speculation": {
            "drafted": stats.drafted,
            "accepted": stats.accepted,
            "tokens_per_pass": round(stats.tokens_per_pass, 3),
        },
    }


def _weights_report(streaming: WeightsStats | None, bill: Bill) -> dict[str, float | str]:
    """`read_mb` and `io_wait_s` are this answer's, its prompt included.

    A mixture that runs from the disk also tells what it does and how often experts were there.
    """
    resident_mib = sum(line.planned_mib for line in bill.lines if line.name == "weights")
    stats = streaming or WeightsStats(pinned_mib=resident_mib)
    report: dict[str, float | str] = {
        "pinned_mb": round(stats.pinned_mib, 2),
        "streamed_mb": round(stats.streamed_mib, 2),
        "read_mb": round(stats.read_mib, 2),
        "io_wait_s": round(stats.io_wait_s, 4),
        "hit_rate": round(stats.hit_rate, 4),
    }
    if (rate := stats.expert_hit_rate) is not None:
        report |= {"strategy": stats.strategy.value, "expert_hit_rate": round(rate, 4)}
    return report


def _conversation(prompt: str, system: str) -> list[Message]:
    if prompt == "-":
        if sys.stdin.isatty():
            output.note(tr("Write the question and end it with Ctrl-D on a line of its own."))
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    else:
        text = o.clean_text(prompt)
    if not text.strip():
        raise WrongUsage(detail=tr("The question is empty."))
    messages = [Message(role=Role.USER, content=text)]
    if system:
        messages.insert(0, Message(role=Role.SYSTEM, content=o.clean_text(system)))
    return messages


def _schema(path: Path) -> str:
    """The schema in a file, as the engine takes it. Raises WrongUsage."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_SCHEMA_CHARACTERS + 1)
        grammar_of(text)
    except OSError as error:
        detail = tr("{path} cannot be read: {reason}.", path=path, reason=error.strerror or error)
        raise WrongUsage(detail=detail) from error
    except UnicodeDecodeError as error:
        raise WrongUsage(detail=tr("The schema is not JSON: {detail}.", detail=error)) from error
    return text


def _show(event: Event) -> None:
    match event:
        case PrefillProgress(done=done, total=total) if done < total:
            output.status(tr("Reading: {done} of {total} tokens", done=done, total=total))
        case PrefillProgress():
            output.status("")
        case ThinkingDelta(text=text):
            output.thinking(text)
        case ThinkingFinished():
            output.thinking("\n")
        case AnswerDelta(text=text):
            output.answer(text)
