"""Forty questions about six documents: are the answers right, and are their sources?

    .venv/bin/python bench/bench_answers.py MODEL [--wordings] [--searched] [--temperature 0.6]

The documents and questions are in `bench/document_questions`, half of them Chinese. All three
documents of a language are sent whole, with `--searched` passages of them.
Counted are right answers (an expression of the table fits), replies without a word, answers whose
own citations name the right passage, right passages listed, listed first, and marked in the very
sentence. `--wordings` tries other requests to cite, and none.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

from bench.runner import Report, argument_parser
from deepseek_r1 import CPUInference
from deepseek_r1.documents import document_prompt
from deepseek_r1.documents.document_prompt import DocumentPrompt
from deepseek_r1.documents.sources import has_text
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.inference import prompt_calls

FOLDER = Path(__file__).parent / "document_questions"
COUNTED = ("right", "empty", "cites right", "lists right", "first right", "wrong first", "marked")
MOST_TOKENS = 120
_WHOLE_CONTEXT, _SEARCHED_CONTEXT = 4096, 1024  # all three documents fit into the first
Wording = Callable[[DocumentPrompt], DocumentPrompt]


@dataclass(frozen=True)
class Question:
    """A line of the table: `right` fits right answers, `source` is in the sentence that says it."""

    document: str
    language: str
    question: str
    right: str
    source: str


def questions() -> list[Question]:
    """All forty."""
    with (FOLDER / "questions.tsv").open(encoding="utf-8", newline="") as lines:
        return [Question(**row) for row in csv.DictReader(lines, delimiter="\t")]


def as_it_is(prompt: DocumentPrompt) -> DocumentPrompt:
    """The prompt that the product makes."""
    return prompt


def worded(place: str, en: str, zh: str) -> Wording:
    """A request `before` or `after` the passages, or at the `end`, in place of the own one."""

    def reworded(prompt: DocumentPrompt) -> DocumentPrompt:
        system, question = prompt.system, prompt.question
        chinese = re.search("[\u4e00-\u9fff]", prompt.asked) is not None
        for each in document_prompt._REQUEST.values():
            system = system.replace(each, "").strip()
        text = zh if chinese else en
        if place == "before":
            system = f"{text}\n\n{system}"
        elif place == "after":
            system = f"{system}\n\n{text}".strip()
        else:
            question = f"{question}\n\n{text}"
        return replace(prompt, system=system, question=question)

    return reworded


_CITE = (
    "Answer from the numbered parts of the documents. After each statement name the part that says"
    " it, as in [1]. If no part says it, say so.",
    "请根据文档中带编号的部分回答，每句话后面注明出处编号，例如 [1]。文档里没有说的，请说明没有。",
)
_SENTENCES = (document_prompt._REQUEST["en"], document_prompt._REQUEST["zh"])
_EXAMPLE = (
    "Answer in whole sentences and put the number of the part behind each, like this: “The shop"
    " opens at nine [2].” If no part says it, say so.",
    "请用完整的句子回答，并在每句后面写出处编号，像这样：“商店九点开门[2]。”文档里没有说的，请说明没有。",
)
WORDINGS: dict[str, Wording] = {
    "cite, behind the passages": worded("after", *_CITE),
    "cite, before the passages": worded("before", *_CITE),
    "cite, behind the question": worded("end", *_CITE),
    "an example, behind the passages": worded("after", *_EXAMPLE),
    "an example, behind the question": worded("end", *_EXAMPLE),
    "whole sentences, no citing": worded("after", *_SENTENCES),
    "no request": worded("after", "", ""),
}


def judged(asked: Question, answer: GenerationResult) -> Iterator[str]:
    """What of `COUNTED` holds for an answer."""
    first = [asked.source in each.text for each in answer.sources]
    if re.search(asked.right, answer.text, re.IGNORECASE):
        yield "right"
    if not has_text(answer.text):
        yield "empty"
    if any(asked.source in each.text for each in answer.sources if each.cited):
        yield "cites right"
    if any(first):
        yield "lists right"
    if first:
        yield "first right" if first[0] else "wrong first"
    if any(asked.source in each.sentence for each in answer.sources):
        yield "marked"


def run(given: argparse.Namespace, wording: Wording) -> Counter[str]:
    """Ask all forty questions."""
    plan, counts = document_prompt.plan, Counter[str]()
    prompt_calls.plan = lambda *given, **options: wording(plan(*given, **options))
    asked = questions()
    context = _SEARCHED_CONTEXT if given.searched else _WHOLE_CONTEXT
    with CPUInference(given.model, memory_budget=6000, context_length=context) as inference:
        for each in asked:
            names = {other.document for other in asked if other.language == each.language}
            documents = [FOLDER / name for name in sorted(names)]
            answer = inference.complete(
                each.question,
                MOST_TOKENS,
                documents=documents,
                temperature=given.temperature,
                seed=1,
            )
            found = list(judged(each, answer))
            counts.update(found)
            if given.show:
                print(f"{each.question}\t{answer.text!r}\t{found}", file=sys.stderr, flush=True)
    return counts


def main() -> None:
    """Print a row for each wording."""
    parser = argument_parser(__doc__, needs_model=True)
    parser.add_argument("--wordings", action="store_true")
    parser.add_argument("--searched", action="store_true")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--show", action="store_true", help="each answer, on standard error")
    given = parser.parse_args()
    report = Report(given, searched=given.searched, temperature=given.temperature)
    report.row(f"{'of ' + str(len(questions())):36}" + "".join(f"{each:>13}" for each in COUNTED))
    for name, wording in (WORDINGS if given.wordings else {"the product's": as_it_is}).items():
        counts = run(given, wording)
        row = "".join(f"{counts[each]:13}" for each in COUNTED)
        report.row(f"{name:36}{row}", wording=name, **counts)
    report.end()


if __name__ == "__main__":
    main()
