"""Kills processes while they write, read and evict segments, and damages files in between.

    python tests/benchmarks/soak_prompt_cache.py [--rounds 500] [--segments 2000]
        [--minutes 0] [--model MODEL.gguf]

Each round a process of its own goes through ten chats of a small model, in a folder whose disk
budget holds about half of them, and is killed (SIGKILL) after a random time. Every other round
files are flipped, cut, exchanged or filled with noise, or the file of owners is. Then an engine of
this process answers one of the chats from what is left.

After the rounds one engine answers its chats while their segments are damaged, one for each answer
and `--segments` in all; they are also exchanged for those of another model of the same shape.

With `--minutes` either part ends after so many at the latest. Prints one JSON object with the
numbers that were done; ends with 1 where an answer is not the one of an engine without a folder,
or where the folder is over its budget.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "app"), str(Path(__file__).parents[1])]

from deepseek_r1.core.events import AnswerDelta, GenerationFinished, ThinkingDelta
from deepseek_r1.core.messages import AnswerRequest, Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from deepseek_r1.engine.protocol.base import Engine, OpenRequest
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference.registry import open_engine
from support.gguf_files import tiny_qwen2

CHATS, LONGEST_S = 10, 1.5
GREEDY = SamplingSettings(temperature=0, max_tokens=8)


def chat(number: int) -> list[Message]:
    """A conversation of some hundred tokens; neighbours have their beginning in common."""
    rng = random.Random(number // 2)
    shared = " ".join(rng.choice(["a", "in", "the", "12"]) for _ in range(150))
    rng = random.Random(1000 + number)
    own = " ".join(rng.choice(["a", "in", "the", "12"]) for _ in range(120))
    return [
        Message(role=Role.USER, content=shared),
        Message(role=Role.ASSISTANT, content="Yes."),
        Message(role=Role.USER, content=own),
        Message(role=Role.ASSISTANT, content="No."),
    ]


def opened(model: Path, cache: PromptCache | None) -> Engine:
    settings = LoadSettings(context_length=2048, micro_batch=64, threads=1, threads_prefill=1)
    return open_engine(
        OpenRequest(read_header(model), settings, 1, lambda _: True, prompt_cache=cache)
    )


def answer(engine: Engine, messages: list[Message]) -> tuple[str, int]:
    """Its text, and how many tokens of the prompt came from the disk."""
    text, restored = "", 0
    following = [*messages, Message(role=Role.USER, content="And then?")]
    for event in engine.stream(AnswerRequest(following, GREEDY)):
        if isinstance(event, AnswerDelta | ThinkingDelta):
            text += event.text
        elif isinstance(event, GenerationFinished):
            restored = event.stats.restored_tokens
    return text, restored


def work(model: Path, folder: Path, budget: int, seed: int) -> None:
    """Go through the chats until somebody kills this process."""
    cache = PromptCache(folder, budget)
    engine = opened(model, cache)
    rng = random.Random(seed)
    print("ready", flush=True)
    while True:
        number = rng.randrange(CHATS)
        for _ in engine.prepare(chat(number), owner=str(number), compute=True):
            pass
        if rng.random() < 0.1:
            cache.retain_owners([str(each) for each in range(CHATS) if each != number])


def size_of_all(model: Path, folder: Path) -> int:
    """Bytes of all chats on disk."""
    cache = PromptCache(folder, 1 << 60)
    engine = opened(model, cache)
    for number in range(CHATS):
        for _ in engine.prepare(chat(number), owner=str(number), compute=True):
            pass
    engine.close()
    size = cache.usage().bytes
    cache.close()
    return size


def damage(folder: Path, rng: random.Random) -> str:
    files = sorted((folder / "segments").glob("*.kv"))
    kind = rng.choice(["flipped", "cut", "exchanged", "noise", "owners"])
    path = folder / "owners.json" if kind == "owners" or not files else rng.choice(files)
    data = bytearray(path.read_bytes()) if path.exists() else bytearray(b"x")
    match kind:
        case "cut":
            del data[rng.randrange(len(data) + 1) :]
        case "exchanged" if files:
            data = bytearray(rng.choice(files).read_bytes())
        case "noise":
            data = bytearray(rng.randbytes(len(data)))
        case _ if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return kind


def damage_one_by_one(
    model: Path,
    place: Path,
    segments: int,
    wanted: list[str],
    rng: random.Random,
    most_s: float,
) -> Counter[str]:
    """Damage a segment that the next answer needs, `segments` times, while the engine runs."""
    counts, began = Counter[str](), time.monotonic()
    folder = place / "damaged"
    cache = PromptCache(folder, 1 << 60)
    other = opened(tiny_qwen2(place / "other.gguf", seed=5), cache)
    for number in range(CHATS):
        list(other.prepare(chat(number), owner="other", compute=True))
    other.close()
    foreign = [path.read_bytes() for path in sorted((folder / "segments").iterdir())]
    engine = opened(model, cache)
    before = {path.name for path in (folder / "segments").iterdir()}
    for number in range(CHATS):
        list(engine.prepare(chat(number), owner=str(number), compute=True))
    for count in range(segments):
        if time.monotonic() - began > most_s:
            break
        number = count % CHATS
        paths = (folder / "segments").iterdir()
        mine = sorted(path for path in paths if path.name not in before)
        victim = rng.choice(mine)
        data = bytearray(victim.read_bytes())
        kind = rng.choice(["flipped", "cut", "longer", "exchanged", "foreign", "noise"])
        match kind:
            case "flipped":
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case "cut":
                del data[rng.randrange(len(data)) :]
            case "longer":
                data += rng.randbytes(1 + rng.randrange(64))
            case "exchanged":
                data = bytearray(rng.choice(mine).read_bytes())
            case "foreign":
                data = bytearray(rng.choice(foreign))
            case _:
                data = bytearray(rng.randbytes(len(data)))
        victim.write_bytes(data)
        text, tokens = answer(engine, chat(number))
        counts[f"segments {kind}"] += 1
        counts["segments"] += 1
        counts["wrong_answers"] += text != wanted[number]
        counts["answers_with_restored_tokens"] += tokens > 0
        list(engine.prepare(chat(number), owner=str(number), compute=True))
    engine.close()
    cache.close()
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--segments", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=0.0, help="0: no limit")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        model, folder, budget, seed = given.work
        work(Path(model), Path(folder), int(budget), int(seed))
    rng, began = random.Random(given.seed), time.monotonic()
    counts: Counter[str] = Counter()
    damaged: Counter[str] = Counter()
    wrong, over, restored, rounds = 0, 0, 0, 0
    most_s = given.minutes * 60 or float("inf")
    with tempfile.TemporaryDirectory() as place:
        model = given.model or tiny_qwen2(Path(place) / "tiny.gguf")
        folder = Path(place) / "prompts"
        engine = opened(model, None)
        wanted = [answer(engine, chat(number))[0] for number in range(CHATS)]
        engine.close()
        budget = size_of_all(model, Path(place) / "all") // 2
        for number in range(given.rounds):
            if time.monotonic() - began > most_s:
                break
            rounds += 1
            command = [sys.executable, __file__, "--work", str(model), str(folder)]
            child = subprocess.Popen(
                [*command, str(budget), str(number)], stdout=subprocess.PIPE, text=True
            )
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(rng.uniform(0, LONGEST_S))
            child.send_signal(signal.SIGKILL)
            counts[f"ended {child.wait()}"] += 1
            if number % 2:
                counts[damage(folder, rng)] += 1
            cache = PromptCache(folder, budget)
            engine = opened(model, cache)
            asked = rng.randrange(CHATS)
            text, tokens = answer(engine, chat(asked))
            wrong += text != wanted[asked]
            restored += tokens > 0
            engine.close()
            size = sum(path.stat().st_size for path in (folder / "segments").iterdir())
            over += size > budget
            cache.close()
        if given.model is None:  # there is no other one of its shape
            damaged = damage_one_by_one(model, Path(place), given.segments, wanted, rng, most_s)
    report = {
        "rounds": rounds,
        "wrong_answers": wrong,
        "over_budget": over,
        "answers_with_restored_tokens": restored,
        "minutes": round((time.monotonic() - began) / 60, 1),
        **counts,
        "damaged_one_by_one": damaged,
    }
    print(json.dumps(report))
    return int(bool(wrong or over or damaged["wrong_answers"]))


if __name__ == "__main__":
    sys.exit(main())
