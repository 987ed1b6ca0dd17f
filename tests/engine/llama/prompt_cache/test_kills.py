"""Processes are killed while they write, read and evict prompts, and files are damaged in between.

`R1_KILL_ROUNDS` is the number of rounds for each kind of model.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from support.gguf_files import tiny_qwen2
from support.hybrids import FAMILIES
from support.prompt_chats import (
    Answered,
    answered,
    assistant,
    long_text,
    open_with_cache,
    prepared,
    user,
)

pytestmark = [pytest.mark.slow, pytest.mark.integration]

ROUNDS = int(os.environ.get("R1_KILL_ROUNDS", "4"))
CHATS, LONGEST_S = 6, 1.0
GREEDY = SamplingSettings(temperature=0.0, max_tokens=8, logprobs=True)


def chat(number: int) -> list[Message]:
    """A conversation of some hundred tokens; neighbours have their beginning in common."""
    shared, own = long_text(number // 2, 150), long_text(100 + number, 120)
    return [user(shared), assistant("Yes."), user(own), assistant("No.")]


def next_answer(model: Path, cache: PromptCache | None, number: int) -> Answered:
    engine = open_with_cache(cache, model)
    try:
        return answered(engine, [*chat(number), user("And then?")], GREEDY)
    finally:
        engine.close()


def work(model: Path, folder: Path, budget: int, seed: int) -> None:
    """Go through the chats until somebody kills this process."""
    cache, rng = PromptCache(folder, budget), random.Random(seed)
    engine = open_with_cache(cache, model)
    print("ready", flush=True)
    while True:
        number = rng.randrange(CHATS)
        prepared(engine, chat(number), owner=str(number))
        if rng.random() < 0.1:
            cache.retain_owners([str(each) for each in range(CHATS) if each != number])


def size_of_all(model: Path, folder: Path) -> int:
    cache = PromptCache(folder, 1 << 40)
    engine = open_with_cache(cache, model)
    for number in range(CHATS):
        prepared(engine, chat(number), owner=str(number))
    engine.close()
    cache.close()
    return cache_bytes(folder)


def cache_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "segments").iterdir())


def damage(folder: Path, rng: random.Random) -> None:
    files = [*sorted((folder / "segments").iterdir()), folder / "owners.json"]
    path = rng.choice([each for each in files if each.is_file()] or [folder / "key"])
    data = bytearray(path.read_bytes()) or bytearray(b"x")
    match rng.choice(["flipped", "cut", "exchanged", "noise"]):
        case "cut":
            del data[rng.randrange(len(data)) :]
        case "exchanged":
            data = bytearray(rng.choice(files[:-1] or [path]).read_bytes())
        case "noise":
            data = bytearray(rng.randbytes(len(data)))
        case _:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("make", [tiny_qwen2, *FAMILIES.values()])
def test_no_answer_is_another_after_kills_and_damage(make, tmp_path):
    model, folder, rng = make(tmp_path / "tiny.gguf"), tmp_path / "prompts", random.Random(1)
    wanted = [next_answer(model, None, number) for number in range(CHATS)]
    budget, restored = size_of_all(model, tmp_path / "all") // 2, 0
    for number in range(ROUNDS):
        command = [sys.executable, __file__, str(model), str(folder), str(budget), str(number)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, LONGEST_S))
        child.kill()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        if number % 2:
            damage(folder, rng)
        cache, asked = PromptCache(folder, budget), rng.randrange(CHATS)
        found = next_answer(model, cache, asked)
        cache.close()
        assert (found.text, found.logprobs) == (wanted[asked].text, wanted[asked].logprobs)
        assert cache_bytes(folder) <= budget
        restored += found.stats.restored_tokens > 0
    assert restored or ROUNDS < 20  # few rounds may ask for what was evicted
    print(f"{model.name}: {ROUNDS} rounds, {restored} answers with tokens from the disk")


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
