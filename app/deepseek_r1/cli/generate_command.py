"""The command `deepseek-r1 generate`: one answer, streamed or as JSON with all numbers."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.answering import (
    ShortageNotifier,
    answer_events,
    interrupting,
    note_facts,
    note_template,
    read_documents,
    show_progress,
    show_reading,
    show_sources,
    summary,
)
from deepseek_r1.cli.command import INTERRUPTED, PATH, command, flag, option
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import (
    AnswerDelta,
    Bill,
    Event,
    FinishReason,
    ModelLoaded,
    PrefillProgress,
    ThinkingDelta,
    ThinkingFinished,
    WeightsStats,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, RawPrompt, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.engine.output.schema import schema_grammar
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory import meter
from deepseek_r1.memory.cost_model import grammar_bytes

_MIB = 1 << 20
MAX_PROMPT_BYTES = 8 * _MIB  # JSON may double it, and a frame has at most 16 MiB


@command(
    "generate",
    tr("Answer one question. The answer goes to standard output, the thinking to the terminal."),
)
@click.argument(
    "prompt",
    required=False,
    default="-",
    help=tr("The question. “-” reads it from standard input."),
)
@o.model_option
@o.system_option
@o.sampling_options
@o.load_options
@option(
    "--json-schema",
    tr("A file with a JSON schema that the answer follows, after the thinking."),
    PATH,
)
@o.documents_option
@o.prompt_cache_option
@o.chat_template_option
@flag("--raw", tr("Continue the text as it is, without the model's chat template."))
@o.json_option
@flag("--json-lines", tr("Print each event as a JSON object on a line, as it comes."))
def generate(
    *,
    prompt: str,
    model: Path | None,
    system: str,
    sampling: SamplingSettings,
    load: LoadSettings,
    json_schema: Path | None,
    document: Sequence[Path],
    prompt_cache: Path | None,
    chat_template: str,
    raw: bool,
    as_json: bool,
    json_lines: bool,
) -> None:
    _require_one("--json", "--json-lines", both=as_json and json_lines)
    _require_one("--raw", "--system", both=raw and bool(system))
    _require_one("--raw", "--document", both=raw and bool(document))
    messages = _conversation(prompt, system)
    asked = RawPrompt(text=messages[-1].content) if raw else messages
    schema = o.text_in(json_schema) if json_schema is not None else ""
    if schema:
        schema_grammar(schema)  # raises WrongUsage
    memory = ReadingMemory(lambda: load.memory_budget)
    read_documents(document, documents := DocumentIndex(), memory)
    collector = ResultCollector()
    path = o.chosen_model(model).absolute()
    # The grammar is needed for this answer only, so its memory is counted with this process's.
    ours_mib = o.COMMAND_LINE_MIB + (grammar_bytes(read_header(path)) / _MIB if schema else 0.0)
    with EngineClient(on_event=ShortageNotifier()) as engine, interrupting(engine) as pressed:
        loaded = engine.load(
            path,
            load,
            window_mib=ours_mib,
            chat_template=o.chat_template(chat_template),
            prompt_cache=o.prompt_cache_folder(prompt_cache),
            on_event=show_progress,
        )
        console.status("")
        if pressed():
            raise SystemExit(INTERRUPTED)
        note_facts(load, loaded.facts)
        if not raw:
            note_template(loaded.facts.template)
        events = answer_events(engine, documents, asked, loaded, sampling, json_schema=schema)
        for event in events:
            if pressed():  # the first cancel may have come before the engine knew the request
                engine.cancel()
            collector.add(event)
            if json_lines:
                console.result_json(event.model_dump(mode="json"))
            elif not as_json:
                _show(event)
    answer = collector.result()
    if as_json:
        report = generate_report(answer, loaded)
        if prompt_cache is not None:
            report["cached_tokens"] = answer.stats.cached_tokens
        console.result_json(report)
    elif not json_lines:
        console.answer("\n")
        show_sources(answer.sources, documents)
        console.aside(summary(answer.stats))
    if answer.stats.finish_reason is FinishReason.CANCELLED:
        raise SystemExit(INTERRUPTED)


def _require_one(first: str, second: str, *, both: bool) -> None:
    if both:
        detail = tr("{first} and {second} exclude each other.", first=first, second=second)
        raise WrongUsage(detail=detail)


def generate_report(answer: GenerationResult, loaded: ModelLoaded) -> dict[str, Any]:
    """Returns the JSON contract of `generate`. A resident model has no streaming numbers."""
    stats, bill = answer.stats, loaded.bill
    return {
        "text": answer.text,
        "thinking": answer.thinking,
        "finish_reason": stats.finish_reason.value,
        "inside_thinking": stats.inside_thinking,
        "thinking_end": stats.thinking_end.value if stats.thinking_end else None,
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
        "sources": [each.model_dump() for each in answer.sources],
    }


def _weights_report(streaming: WeightsStats | None, bill: Bill) -> dict[str, float | str]:
    """Returns the weights' statistics; `read_mb` and `io_wait_s` cover prompt and answer.

    A streamed mixture also has its cache strategy and the hit rate of its experts.
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
    messages = [Message(role=Role.USER, content=_text(prompt))]
    if system:
        messages.insert(0, Message(role=Role.SYSTEM, content=o.clean_text(system)))
    return messages


def _text(prompt: str) -> str:
    if prompt == "-":
        if sys.stdin.isatty():
            console.note(tr("Write the question and end it with Ctrl-D on a line of its own."))
        raw = sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1)
        if len(raw) > MAX_PROMPT_BYTES:
            most = MAX_PROMPT_BYTES // _MIB
            raise WrongUsage(detail=tr("The question is longer than {mib} MiB.", mib=most))
        text = raw.decode("utf-8", "replace")
    else:
        text = o.clean_text(prompt)
    if not text.strip():
        raise WrongUsage(detail=tr("The question is empty."))
    return text


def _show(event: Event) -> None:
    match event:
        case PrefillProgress():
            show_reading(event)
        case ThinkingDelta(text=text):
            console.thinking(text)
        case ThinkingFinished():
            console.thinking("\n")
        case AnswerDelta(text=text):
            console.answer(text)
