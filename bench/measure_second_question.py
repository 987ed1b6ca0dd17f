"""Prints what a question costs in a chat with a document of sixty pages and in one without.

    python bench/measure_second_question.py MODEL FOLDER [--from-disk]

FOLDER is of make_texts.py, and gets the prompt cache: the first run reads the document.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from statistics import linear_regression, median

sys.path[:0] = [str(Path(__file__).parents[1] / "app")]

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import AnswerDelta, GenerationFinished, ThinkingDelta

PAGES, ROUNDS, TOKENS = 60, 4, 12
QUESTIONS = (
    *("What is Debian?", "Who coordinates the installer?", "What is a backport?"),
    *("How long does a release take?", "What is the social contract?"),
    "Who is the example company?",
)
Answer = tuple[int, float]  # the tokens that were computed before the first one, and the seconds


def chat(model: CPUInference, questions: list[str], documents: list[Path]) -> list[Answer]:
    """Ask one after the other."""
    messages, found = [], []
    for question in questions:
        messages.append({"role": "user", "content": question})
        begun, first, text = time.perf_counter(), 0.0, ""
        events = model.stream(messages, TOKENS, temperature=0.6, documents=documents)
        for event in events:
            if isinstance(event, (AnswerDelta, ThinkingDelta)):
                first = first or time.perf_counter() - begun
                text += event.text
            elif isinstance(event, GenerationFinished):
                found.append((event.stats.prompt_tokens - event.stats.cached_tokens, first))
        messages.append({"role": "assistant", "content": text or "."})
    return found


def report(name: str, answers: list[list[Answer]]) -> float:
    """Print the medians, and the line through tokens and seconds; return the median."""
    later = [answer for asked in answers for answer in asked[1:]]
    tokens, seconds = zip(*later, strict=True)
    slope, begin = linear_regression(tokens, seconds)
    firsts = ", ".join(f"{asked[0][1]:.2f}" for asked in answers)
    print(
        f"{name}: first {firsts} s; next {median(seconds):.2f} s of {median(tokens):.0f} tokens, "
        f"{begin:.3f} s + {slope * 1e3:.1f} ms a token"
    )
    return median(seconds)


def main(path: str, folder: str, *options: str) -> None:
    """Chats with and without the document, in turns."""
    pages = json.loads((Path(folder) / "help.en.json").read_text(encoding="utf-8"))[:PAGES]
    document = Path(folder) / f"help-{PAGES}.md"
    document.write_text("\n\n".join(text for page in pages for _heading, text in page), "utf-8")
    from_disk, cache = "--from-disk" in options, Path(folder) / "prompts"
    budget = 900 if from_disk else 2048
    kv_type = "q8_0" if from_disk else "f16"
    settings = {"context_length": 8192, "kv_type": kv_type, "swap_enabled": from_disk}
    plain, documented = [], []
    with CPUInference(path, memory_budget=budget, prompt_cache=cache, **settings) as model:
        for number in range(ROUNDS):
            questions = [*QUESTIONS[number:], *QUESTIONS[:number]]
            plain.append(chat(model, questions, []))
            documented.append(chat(model, questions, [document]))
            print(f"load {os.getloadavg()[0]:.1f}")
    ratio = report("without", plain), report("with", documented)
    print(f"next question: {ratio[1] / ratio[0]:.2f} times")


if __name__ == "__main__":
    main(*sys.argv[1:])
