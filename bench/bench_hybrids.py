"""Measures a follow-up after a long text with models that have a recurrent state.

    python bench/bench_hybrids.py [--tokens 4000] [--family qwen35] [--other FOLDER]

Writes a model of the shape of Qwen3.5-0.8B (or of Granite-4.0-h-1B) with random weights, reads a
text of so many tokens, answers it, and asks a follow-up. `--other` is the
`app` folder of another commit: both take turns, three times. Prints seconds to the follow-up's
first token and the tokens that were computed for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from support import hybrids

_CHILD = """
import json, sys
from pathlib import Path
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient

path, words = Path(sys.argv[1]), int(sys.argv[2])
text = " ".join(f"{n % 97} in the" for n in range(words))
chat = [Message(role=Role.USER, content=text)]
sampling = SamplingSettings(temperature=0.0, max_tokens=8)
with EngineClient() as engine:
    engine.load(path, LoadSettings(memory_budget=3000, context_length=8192))
    *_, first = engine.generate(chat, sampling)
    chat.append(Message(role=Role.ASSISTANT, content="Numbers."))
    chat.append(Message(role=Role.USER, content="Why?"))
    *_, second = engine.generate(chat, sampling)
stats = second.stats
print(json.dumps({
    "prompt": stats.prompt_tokens, "computed": stats.prompt_tokens - stats.cached_tokens,
    "first_s": first.stats.prefill_s, "follow_up_s": stats.prefill_s,
}))
"""


def measured(app: Path, model: Path, words: int) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(app)}
    command = [sys.executable, "-c", _CHILD, str(model), str(words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--family", choices=("qwen35", "granitehybrid"), default="qwen35")
    parser.add_argument("--other", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    shape = {"qwen35": hybrids.QWEN35_08B, "granitehybrid": hybrids.GRANITE_1B}[given.family]
    arms = {"this": ROOT / "app"} | ({"other": given.other} if given.other else {})
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory() as place:
        model = hybrids.FAMILIES[given.family](Path(place) / "model.gguf", shape=shape)
        for _ in range(given.turns):
            for arm, app in arms.items():
                found[arm].append(measured(app, model, round(given.tokens / 6.4)))
                print(arm, json.dumps(found[arm][-1]), flush=True)
    for arm, rounds in found.items():
        print(arm, "follow-up, median s:", round(median(each["follow_up_s"] for each in rounds), 2))


if __name__ == "__main__":
    main()
