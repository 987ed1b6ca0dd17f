"""llama.cpp alone in a process of its own, for `bench_window.py`: told what to answer, and timed.

    python bench/bare_loop.py [--model GGUF]

It keeps the model of `bench_engine.py`, and the priority of the application's engine process.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.bench_engine import PREFILL, Bench
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.child import NICENESS


def main() -> int:
    """Serve until the input ends."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
    path = Path(sys.argv[2]) if sys.argv[1:2] == ["--model"] else starter_model()
    assert path is not None
    bench = Bench(path, 0)
    say("ready", threads=bench.model.threads)
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "prompt":
            messages = bench.prompt(command["number"])
            seed = bench.lasting_seed(messages).seed
            say("prompt", text=messages[0].content, seed=seed, tokens=PREFILL)
        else:
            messages = [Message(role=Role.USER, content=command["text"])]
            sampling = SamplingSettings(seed=command["seed"], max_tokens=command["max_tokens"])
            run = bench.bare(messages, sampling)
            say("answered", prefill=run.prefill, decode=run.decode)
    bench.bare_context.close()
    bench.model.close()
    return 0


def say(event: str, **facts: object) -> None:
    """One line for the parent."""
    print(json.dumps({"event": event, **facts}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
