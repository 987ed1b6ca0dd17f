"""Compare reproducible answers: cold, cached, after another chat, with other threads, restarted.

    python tests/inference/compare_answers.py MODEL [MODEL ...] [--questions 100] [--tokens 32]

Each question is asked five times at temperature 0. Ends with 1 if any answer differs from the first
one. Prints what reproducibility costs, too: the time to the first token of a cached question and
the speed of writing, with and without it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.settings import SamplingSettings

CONTEXT = 1024
OTHER_QUESTION = "Name three birds that cannot fly."
SUBJECTS = (
    "a hash table", "recursion", "photosynthesis", "the water cycle", "a binary search",
    "inflation", "gravity", "a violin", "the French Revolution", "a neural network",
    "HTTP caching", "a rainbow", "compound interest", "plate tectonics", "a compiler",
    "the immune system", "a sonnet", "prime numbers", "a suspension bridge", "sourdough bread",
)  # fmt: skip
FORMS = (
    "What is {}?",
    "Explain {} to a child in two sentences.",
    "List five facts about {}.",
    "用中文简单解释一下：{}。",
    "Write a question and an answer about {}, then count from one to twenty in words.",
)
QUESTIONS = [form.format(subject) for form in FORMS for subject in SUBJECTS]


def prompt(number: int) -> str:
    """A question; every other one follows notes that fill a whole piece of the prompt.

    With its answer it stays below 256 tokens, beyond which the number of threads counts.
    """
    if number % 2:
        return QUESTIONS[number]
    notes = " ".join(f"Card {number}-{i} has the value {i * 7919 % 1000}." for i in range(9))
    return f"{notes} Leave the cards aside. {QUESTIONS[number]}"


def answers(
    model: CPUInference, questions: list[str], sampling: SamplingSettings
) -> Iterator[tuple[str, GenerationStats]]:
    """Each question's answer and its stats."""
    for question in questions:
        result = model.complete(question, sampling=sampling)
        yield result.thinking + result.text, result.stats


def compare(path: Path, questions: list[str], tokens: int, report: Callable[[str], None]) -> int:
    """Ask in all ways and return the number of answers that differ from the first one."""
    greedy = SamplingSettings(temperature=0.0, max_tokens=tokens)
    free = SamplingSettings(temperature=0.8, max_tokens=tokens)
    other = SamplingSettings(temperature=0.0, max_tokens=4)
    differing = 0

    def check(name: str, again: list[str]) -> None:
        nonlocal differing
        wrong = sum(one != two for one, two in zip(cold, again, strict=True))
        differing += wrong
        report(f"{name}: {wrong} of {len(again)} differ")

    def asked(model: CPUInference, before: Callable[[], object] = lambda: None) -> list[str]:
        texts = []
        for question in questions:
            before()
            texts += [text for text, _ in answers(model, [question], greedy)]
        return texts

    with tempfile.TemporaryDirectory(prefix="answers-") as folder:
        with CPUInference(path, context_length=CONTEXT, prompt_cache=folder) as model:
            cold, cached = [], []
            reproducible: list[GenerationStats] = []
            plain: list[GenerationStats] = []
            for number, question in enumerate(questions):
                first, second = answers(model, [question, question], greedy)
                cold.append(first[0])
                cached.append(second[0])
                reproducible.append(second[1])
                if number % 5 == 0:
                    plain += [stats for _, stats in answers(model, [question], free)]
            check("cached", cached)
            report(f"reproducible: {_speed(reproducible)}; not: {_speed(plain)}")
            check("after another chat", asked(model, lambda: model.complete(
                OTHER_QUESTION, sampling=other
            )))  # fmt: skip
            model.set_threads(1, 1)
            check("one thread", asked(model))
        with CPUInference(path, context_length=CONTEXT, prompt_cache=folder) as model:
            check("after a restart", asked(model))
    return differing


def _speed(stats: list[GenerationStats]) -> str:
    first_ms = 1000 * statistics.median(each.ttft_s for each in stats)
    return f"{first_ms:.0f} ms to the first token, {_rate(stats):.1f} tokens a second"


def _rate(stats: list[GenerationStats]) -> float:
    return statistics.median(each.decode_tok_s for each in stats)


def main() -> int:
    """Run as the options say; the exit code is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--questions", type=int, default=len(QUESTIONS))
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    differing = 0
    for path in options.models:
        began = time.monotonic()
        print(path.name, flush=True)
        step = max(1, len(QUESTIONS) // options.questions)
        chosen = [prompt(number) for number in range(0, len(QUESTIONS), step)][: options.questions]
        differing += compare(path, chosen, options.tokens, lambda text: print(text, flush=True))
        print(f"{time.monotonic() - began:.0f} s", flush=True)
    return int(differing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
