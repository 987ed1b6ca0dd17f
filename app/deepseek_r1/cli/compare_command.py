"""The command `deepseek-r1 compare`: several models, or precisions of one, answer the same."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.answering import finish_text, show_progress
from deepseek_r1.cli.command import INTERRUPTED, PATH, command, option
from deepseek_r1.cli.generate_command import generate_report
from deepseek_r1.cli.progress import print_table
from deepseek_r1.core import wings
from deepseek_r1.core.errors import ErrorReport, WrongUsage
from deepseek_r1.core.events import LoadProgress, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.core.units import format_mib
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.host import comparison as c
from deepseek_r1.memory import meter

_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


@dataclass(slots=True)
class _Answer:
    """The answer of a model to a question. `expected` is empty where it is not checked."""

    path: Path
    question: str
    expected: str
    loaded: ModelLoaded | None = None
    text: ResultCollector = field(default_factory=ResultCollector)
    error: ErrorReport | None = None

    @property
    def right(self) -> bool:
        """Whether the last \\boxed{…}, else the last line, has what is expected as whole words."""
        text = self.text.text.strip()
        last = [text.rpartition("\n")[2], *_BOXED.findall(text)][-1]
        pattern = rf"(?<![\w.,]){re.escape(self.expected)}(?![\w]|[.,]\d)"
        return re.search(pattern, last, re.IGNORECASE) is not None


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
    if bool(prompt) == (file is not None):
        raise WrongUsage(detail=tr("Give a question, or a file of questions with --file."))
    lines = o.text_in(file).splitlines() if file is not None else [o.clean_text(prompt)]
    questions = [line.partition("\t")[::2] for line in lines if line.strip()]
    paths = [o.chosen_model(each).absolute() for each in models or [None]]
    if precision and len(paths) > 1:
        raise WrongUsage(detail=tr("--precision takes one model."))
    if precision:
        paths = wings.entry("converted_models")(paths[0], precision.split(","), load.memory_budget)
    system, template = o.clean_text(system), o.chat_template(chat_template)
    events = c.compare(
        [text for text, _ in questions],
        [c.Candidate(path, load, sampling, system, template) for path in paths],
        memory_budget=load.memory_budget,
    )
    answers = [[_Answer(path, *each) for each in questions] for path in paths]
    try:
        for event in events:
            _take(event, answers, as_json=as_json)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    every = [answer for of_model in answers for answer in of_model]
    if as_json:
        console.result_json({"answers": [_report(each) for each in every]})
    else:
        console.result("")
        titles = [
            *(tr("Model"), tr("Load s"), tr("First token s"), tr("Tokens/s"), tr("Tokens")),
            *(tr("Peak memory"), tr("Read MiB a token"), tr("Ended"), tr("Right")),
        ]
        print_table(titles, map(_row, answers), numbers=True)
    raise SystemExit(max((each.error.error.exit_code for each in every if each.error), default=0))


def _take(event: c.ComparisonEvent, answers: list[list[_Answer]], *, as_json: bool) -> None:
    match event:
        case c.ComparisonPlanned():
            console.aside(event.text())
        case c.CandidateEvent(event=LoadProgress() as progress):
            show_progress(progress)
        case c.CandidateEvent(candidate, _, ModelLoaded() as loaded):
            for each in answers[candidate]:
                each.loaded = loaded
        case c.CandidateEvent(candidate, question, of_engine):
            answer = answers[candidate][question]
            answer.text.add(of_engine)
            tokens = getattr(of_engine, "completion_tokens", 0)
            console.status(tr("{model}: {n} tokens", model=answer.path.stem, n=tokens))
        case c.CandidateFailed(candidate, question, report):
            only = question + 1 if answers[candidate][question].loaded else None  # a load: all
            for each in answers[candidate][question:only]:
                each.error = report
        case c.CandidateEnded(candidate):
            console.status("")
            if not as_json:
                _show(answers[candidate])


def _show(of_model: Sequence[_Answer]) -> None:
    console.result(f"\n── {of_model[0].path.stem}")
    for each in of_model:
        if len(of_model) > 1:
            console.result(f"\n› {each.question}")
        console.result(each.text.text.strip())
        if each.error is not None:
            console.error(each.error.error)


def _row(of_model: Sequence[_Answer]) -> list[str]:
    """The means of a model's answers; the peak is the highest."""
    stats = [each.text.result().stats for each in of_model if each.text.text]
    loaded, expected = of_model[0].loaded, [each for each in of_model if each.expected]
    if loaded is None or not stats:
        return [of_model[0].path.stem, *["–"] * 6, tr("no answer"), "–"]
    tokens = sum(each.completion_tokens for each in stats)
    read_mib = sum(each.weights.read_mib for each in stats if each.weights is not None)
    return [
        of_model[0].path.stem,
        f"{loaded.load_s:.1f}",
        f"{fmean(each.ttft_s for each in stats):.2f}",
        f"{fmean(each.decode_tok_s for each in stats):.1f}",
        f"{tokens:,}",
        format_mib(max(each.peak_mib for each in stats) + meter.peak_mib()),
        f"{read_mib / max(1, tokens):,.1f}",
        ", ".join(dict.fromkeys(map(finish_text, stats))),
        f"{sum(each.right for each in expected)}/{len(expected)}" if expected else "–",
    ]


def _report(answer: _Answer) -> dict[str, Any]:
    """Returns what `generate` prints of an answer, with the model, or why there is none."""
    path, question = answer.path, answer.question
    report: dict[str, Any] = {"model": path.stem, "file": str(path), "question": question}
    if answer.loaded is not None:
        report |= generate_report(answer.text.result(), answer.loaded)
    if answer.error is not None:
        report["error"] = answer.error.text()
    if answer.expected:
        report["right"] = answer.right
    return report
