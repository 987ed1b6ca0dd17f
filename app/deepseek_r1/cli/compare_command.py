"""The command `deepseek-r1 compare`: several models, or precisions of one, answer the same."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import INTERRUPTED, PATH, command, option
from deepseek_r1.cli.generate_command import generate_report
from deepseek_r1.cli.generation_progress import finish_text
from deepseek_r1.cli.progress import print_table
from deepseek_r1.core.errors import ErrorReport, WrongUsage
from deepseek_r1.core.events import FinishReason, LoadProgress, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.host.comparison import (
    Candidate,
    CandidateEnded,
    CandidateEvent,
    CandidateFailed,
    Comparison,
    ComparisonPlanned,
)
from deepseek_r1.memory import meter

_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class _Question:
    """A question, and the answer that is expected; empty where none is given."""

    text: str
    expected: str = ""


@dataclass(slots=True)
class _Answers:
    """The answers of one model."""

    path: Path
    loaded: ModelLoaded | None = None
    texts: dict[int, ResultCollector] = field(default_factory=dict)  # by question
    errors: dict[int, ErrorReport] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, which also says the precision."""
        return self.path.stem


@command("compare", tr("Let several models answer the same questions, within one memory budget."))
@click.argument("prompt", required=False, default="", help=tr("The question."))
@option(
    "--model -m --model-path models",
    tr("A GGUF file, or the name of a downloaded model. Give it once for each model."),
    PATH,
    multiple=True,
)
@option(
    "--file",
    tr("A file with a question on each line, and after a tab the answer that is expected."),
    PATH,
)
@option(
    "--precision -p",
    tr("Convert the one model into each of these precisions, with commas between them."),
    default="",
)
@o.system_option
@o.sampling_options
@o.load_options
@o.chat_template_option
@o.json_option
def compare(
    *,
    prompt: str,
    models: tuple[Path, ...],
    file: Path | None,
    precision: str,
    system: str,
    sampling: SamplingSettings,
    load: LoadSettings,
    chat_template: str,
    as_json: bool,
) -> None:
    """Let several models answer the same questions, within one memory budget."""
    questions = _questions(prompt, file)
    paths = [o.chosen_model(each).absolute() for each in models or [None]]
    if precision:
        if len(paths) != 1:
            raise WrongUsage(detail=tr("--precision takes one model."))
        paths = [_converted(paths[0], each, load) for each in precision.split(",")]
    template = o.chat_template(chat_template)
    comparison = Comparison(
        [[Message(role=Role.USER, content=each.text)] for each in questions],
        [Candidate(path, load, sampling, o.clean_text(system), template) for path in paths],
        memory_budget=load.memory_budget,
        window_mib=max(o.COMMAND_LINE_MIB, meter.process_mib(os.getpid())),
    )
    answers = [_Answers(path) for path in paths]
    with _interrupting(comparison, len(paths)):
        for event in comparison.events():
            match event:
                case ComparisonPlanned(together=together):
                    console.aside(
                        tr("The models run together.")
                        if together
                        else tr("The models run one after the other.")
                    )
                case CandidateEvent(candidate, question, of_answer):
                    _collect(answers[candidate], question, of_answer)
                case CandidateFailed(candidate, question, report):
                    answers[candidate].errors[question] = report
                case CandidateEnded(candidate):
                    console.status("")
                    if not as_json:
                        _show(answers[candidate], questions)
    if as_json:
        reports = [_report(each, n, questions) for each in answers for n in range(len(questions))]
        console.result_json({"answers": reports})
    else:
        _show_table(answers, questions)
    raise SystemExit(_exit_code(answers))


def _questions(prompt: str, file: Path | None) -> list[_Question]:
    if bool(prompt) == (file is not None):
        raise WrongUsage(detail=tr("Give a question, or a file of questions with --file."))
    if file is None:
        return [_Question(o.clean_text(prompt))]
    lines = [line.partition("\t") for line in o.text_in(file).splitlines() if line.strip()]
    return [_Question(text.strip(), expected.strip()) for text, _, expected in lines]


def _converted(source: Path, precision: str, load: LoadSettings) -> Path:
    """Returns the model in another precision, converted into the profile where it is not there."""
    from deepseek_r1.cli.convert_command import conversion_bar  # noqa: PLC0415 - seldom wanted
    from deepseek_r1.convert.job import ConversionRequest, convert  # noqa: PLC0415
    from deepseek_r1.convert.precision import precision_named  # noqa: PLC0415

    chosen = precision_named(precision)
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    facts = [(str(each), (found := each.stat()).st_size, found.st_mtime_ns) for each in files]
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    folder = profile_dir() / "converted"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    output = folder / f"{source.stem}-{key}-{chosen.name.lower()}.gguf"
    if not output.exists():
        console.note(tr("Converting into {path}", path=output))
        with conversion_bar() as on_progress:
            convert(ConversionRequest(source, output, chosen, load.memory_budget), on_progress)
    return output


@contextmanager
def _interrupting(comparison: Comparison, count: int) -> Iterator[None]:
    """Let Ctrl-C end all answers; a second one ends the program at once."""

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        comparison.cancel(*range(count))

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _collect(answers: _Answers, question: int, event: Any) -> None:
    if isinstance(event, ModelLoaded):
        answers.loaded = event
    elif isinstance(event, LoadProgress):
        percent = round(100 * event.fraction)
        console.status(tr("{model}: loading, {percent} %", model=answers.name, percent=percent))
    else:
        answers.texts.setdefault(question, ResultCollector()).add(event)
        tokens = getattr(event, "completion_tokens", 0)
        console.status(tr("{model}: {n} tokens", model=answers.name, n=tokens))


def _show(answers: _Answers, questions: Sequence[_Question]) -> None:
    console.result(f"\n── {answers.name}")
    for number, question in enumerate(questions):
        if len(questions) > 1:
            console.result(f"\n› {question.text}")
        if number in answers.texts:
            console.result(answers.texts[number].text.strip())
        if number in answers.errors:
            console.error(answers.errors[number].error)


def _show_table(answers: Sequence[_Answers], questions: Sequence[_Question]) -> None:
    checked = any(each.expected for each in questions)
    titles = [
        *(tr("Model"), tr("Load s"), tr("First token s"), tr("Tokens/s"), tr("Tokens")),
        *(tr("Peak MiB"), tr("Read MiB a token"), tr("Ended")),
        *([tr("Right")] if checked else []),
    ]
    console.result("")
    print_table(titles, [_row(each, questions, checked) for each in answers], numbers=True)


def _row(answers: _Answers, questions: Sequence[_Question], checked: bool) -> list[str]:
    """The means of a model's answers; the peak is the highest."""
    results = [each.result() for each in answers.texts.values()]
    if answers.loaded is None or not results:
        return [answers.name, *["–"] * 6, tr("no answer"), *(["–"] if checked else [])]
    stats = [each.stats for each in results]
    tokens = sum(each.completion_tokens for each in stats)
    decode_s = sum(each.decode_s for each in stats)
    read = sum(each.weights.read_mib for each in stats if each.weights is not None)
    row = [
        answers.name,
        f"{answers.loaded.load_s:.1f}",
        f"{sum(each.ttft_s for each in stats) / len(stats):.2f}",
        f"{max(0, tokens - len(stats)) / decode_s:.1f}" if decode_s else "–",
        f"{tokens:,}",
        f"{max(each.peak_mib for each in stats) + meter.peak_mib():,.0f}",
        f"{read / max(1, tokens):,.1f}",
        ", ".join(dict.fromkeys(map(finish_text, stats))),
    ]
    if checked:
        expected = [n for n, each in enumerate(questions) if each.expected]
        right = sum(_is_right(answers, n, questions[n]) for n in expected)
        row.append(f"{right}/{len(expected)}")
    return row


def _is_right(answers: _Answers, number: int, question: _Question) -> bool:
    """Whether the last \\boxed{…}, else the last line, has the expected answer as whole words."""
    if number not in answers.texts:
        return False
    text = answers.texts[number].text.strip()
    boxed = _BOXED.findall(text)
    last = boxed[-1] if boxed else text.rpartition("\n")[2]
    pattern = rf"(?<![\w.,]){re.escape(question.expected)}(?![\w]|[.,]\d)"
    return re.search(pattern, last, re.IGNORECASE) is not None


def _report(answers: _Answers, number: int, questions: Sequence[_Question]) -> dict[str, Any]:
    """Returns what `generate` prints of an answer, with the model, or why there is none."""
    question = questions[number]
    report: dict[str, Any] = {"model": answers.name, "file": str(answers.path)}
    if len(questions) > 1:
        report["question"] = question.text
    if answers.loaded is not None and number in answers.texts:
        report |= generate_report(answers.texts[number].result(), answers.loaded)
    if number in answers.errors:
        report["error"] = answers.errors[number].text()
    if question.expected:
        report["right"] = _is_right(answers, number, question)
    return report


def _exit_code(answers: Sequence[_Answers]) -> int:
    errors = [report.error for each in answers for report in each.errors.values()]
    results = [text.result().stats for each in answers for text in each.texts.values()]
    if any(each.finish_reason is FinishReason.CANCELLED for each in results):
        return INTERRUPTED
    return max((error.exit_code for error in errors), default=0)
