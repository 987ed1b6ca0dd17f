"""Thinking budgets against right answers and time: 50 questions of arithmetic, a real model.

    .venv/bin/python tests/benchmarks/bench_thinking.py MODEL.gguf [--quick] [--questions 50]
        [--budgets 0,32,64,128,256,512] [--own-template] [--json]

Each question has two or three steps and one number as its answer, which is known. The answer
counts as right if the last number in it is that one (the first, where it was opened). Sampling is
greedy, so the table is the same each time on one machine; the seconds are not.

A model that was not trained to think is made to: its answer is opened with `<think>`, the question
wants the steps first, and after the thinking the answer is opened with "The answer is". R1 opens
its thinking itself: `--own-template`. Without `MODEL.gguf` the starter model answers, which is too
small to calculate.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1.core.messages import PartialAnswer
from deepseek_r1.core.paths import starter_model
from deepseek_r1.engine.template_families import choose_template
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference import CPUInference
from support.budgets import ROOMY_MIB

BUDGETS = (0, 32, 64, 128, 256, 512)
QUICK_BUDGETS = (0, 64, 256)
QUICK_QUESTIONS = 6
ANSWER_TOKENS = 48
OPENING = "The answer is "
OPENED_TOKENS = 8
CONTEXT = 1536
TASK = " Work it out step by step, then answer with the number alone."
SEED = 11

Numbers = Callable[[int, int], int]


@dataclass(frozen=True)
class Question:
    text: str
    answer: int


class Answer(NamedTuple):
    right: bool
    thinking_tokens: int
    answer_tokens: int
    seconds: float
    thinking_end: str


@dataclass
class Row:
    """The results with one budget. `ends` counts how the thinking ended."""

    budget: int
    questions: int
    right: int
    thinking_tokens: float  # mean
    answer_tokens: float
    seconds: float  # mean of one question
    ends: dict[str, int]


def questions(count: int) -> list[Question]:
    """The same questions each time, of five kinds in turn."""
    chance = random.Random(SEED)
    kinds = (_boxes, _shopping, _train, _shares, _plain)
    return [kinds[number % len(kinds)](chance.randint) for number in range(count)]


def _boxes(pick: Numbers) -> Question:
    boxes, each, loose = pick(12, 29), pick(12, 36), pick(11, 60)
    text = f"A shop has {boxes} boxes with {each} pens each, and {loose} loose pens. How many pens?"
    return Question(text, boxes * each + loose)


def _shopping(pick: Numbers) -> Question:
    loaves, price, paid = pick(3, 8), pick(3, 9), pick(80, 120)
    text = (
        f"Ann buys {loaves} loaves at {price} coins each and pays with {paid}. What is her change?"
    )
    return Question(text, paid - loaves * price)


def _train(pick: Numbers) -> Question:
    start, off, on = pick(120, 220), pick(20, 60), pick(20, 60)
    text = f"{start} people are on a train. {off} get off and {on} get on. How many are on it now?"
    return Question(text, start - off + on)


def _shares(pick: Numbers) -> Question:
    friends, each, left = pick(4, 9), pick(11, 25), pick(1, 3)
    text = (
        f"{friends} friends share {friends * each + left} nuts evenly. {left} nuts remain. "
        "How many nuts does each get?"
    )
    return Question(text, each)


def _plain(pick: Numbers) -> Question:
    a, b, c = pick(11, 40), pick(3, 9), pick(20, 99)
    return Question(f"What is {a} * {b} + {c}?", a * b + c)


def is_right(question: Question, text: str, *, opened: bool) -> bool:
    """The first number of an opened answer, the last of another, is the right one."""
    numbers = re.findall(r"-?\d+", text.replace(",", ""))
    return bool(numbers) and int(numbers[0 if opened else -1]) == question.answer


def thinking_template(path: Path) -> str:
    """The template of the model, with the opening tag at its end."""
    source, _ = choose_template(read_header(path))
    return source + "{% if add_generation_prompt %}{{ '<think>\n' }}{% endif %}"


def answer(model: CPUInference, question: Question, budget: int, *, trained: bool) -> Answer:
    """Have a question answered; a thought that the model ended with its text is closed."""
    began = time.perf_counter()
    prompt = question.text + TASK
    first = model.complete(
        prompt, ANSWER_TOKENS if trained else 1, temperature=0, thinking_budget=budget
    )
    result, thinking = first, first.stats.thinking_tokens
    if not trained:
        opened = PartialAnswer(thinking=first.thinking, text=OPENING)
        result = model.complete(prompt, OPENED_TOKENS, temperature=0, continues=opened)
    elif first.stats.inside_thinking:
        result = model.complete(
            prompt, ANSWER_TOKENS, temperature=0, thinking_budget=0, continues=first.partial
        )
    end = first.stats.thinking_end or "model"
    return Answer(
        is_right(question, result.text, opened=not trained),
        thinking,
        result.stats.completion_tokens - result.stats.thinking_tokens,
        time.perf_counter() - began,
        str(end) if thinking else "none",
    )


def measure(model: CPUInference, asked: list[Question], budget: int, *, trained: bool) -> Row:
    answers = [answer(model, question, budget, trained=trained) for question in asked]
    return Row(
        budget=budget,
        questions=len(asked),
        right=sum(each.right for each in answers),
        thinking_tokens=statistics.mean(each.thinking_tokens for each in answers),
        answer_tokens=statistics.mean(each.answer_tokens for each in answers),
        seconds=statistics.mean(each.seconds for each in answers),
        ends=dict(Counter(each.thinking_end for each in answers)),
    )


def as_table_row(row: Row) -> str:
    ends = ", ".join(f"{name} {count}" for name, count in sorted(row.ends.items()))
    return (
        f"| {row.budget} | {row.right} of {row.questions} | {row.thinking_tokens:.0f} | "
        f"{row.answer_tokens:.0f} | {row.seconds:.1f} | {ends} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=starter_model())
    parser.add_argument("--quick", action="store_true", help="6 questions, three budgets")
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)))
    parser.add_argument("--own-template", action="store_true", help="the model opens its thinking")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    budgets = QUICK_BUDGETS if options.quick else map(int, options.budgets.split(","))
    asked = questions(QUICK_QUESTIONS if options.quick else options.questions)
    template = "" if options.own_template else thinking_template(options.model)
    rows = []
    with CPUInference(
        options.model, memory_budget=ROOMY_MIB, context_length=CONTEXT, chat_template=template
    ) as model:
        if not options.json:
            print(f"{model.loaded.facts.name}, {len(asked)} questions\n")
            print(
                "| thinking budget | right | thinking tokens | answer tokens | s a question ",
                end="",
            )
            print("| thinking ended by |\n| ---: | ---: | ---: | ---: | ---: | --- |")
        for budget in budgets:
            rows.append(measure(model, asked, budget, trained=options.own_template))
            if not options.json:
                print(as_table_row(rows[-1]), flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
