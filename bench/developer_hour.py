"""A developer's first hour with the wheel, in a clean environment: what the guide promises.

    python bench/developer_hour.py [WHEEL] [--python 3.13] [--wheels FOLDER] [--uv PATH]

Installs the wheel (built first where none is given) and makes the calls of docs/guides/library.md.
Prints the time of each step and the size of the environment, beside one with llama-cpp-python
alone. FOLDER has a compiled wheel of llama-cpp-python; without it llama.cpp is compiled twice. The
exit status is 1 where a call fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BESIDE = "llama-cpp-python==0.3.36"

HOUR = """
import asyncio, sys
from deepseek_r1 import AsyncCPUInference, CPUInference, Message, PromptTooLong, RawPrompt

assert not [name for name in sys.modules if name.startswith(("PySide6", "llama_cpp"))]
with CPUInference(sys.argv[1], memory_budget=1024, context_length=1024) as model:
    print("answer:", model.generate("Why is the sky blue?", max_tokens=24)[:60])
    print("stream:", sum(1 for _ in model.stream("Count to ten.", max_tokens=16)), "events")
    stopped = model.complete("List: one, two, three", stop=[" ", "\\n"], max_tokens=30)
    assert " " not in stopped.text
    print("stop words:", repr(stopped.stats.stop_sequence))
    answer = model.complete("Name a river.", logprobs=True, top_logprobs=3, max_tokens=4)
    assert answer.logprobs and answer.logprobs[0].logprob <= 0 and len(answer.logprobs[0].top) == 3
    print("logprobs:", answer.logprobs[0].logprob)
    vectors = model.embed(["a cat", "tax law"])
    assert len(vectors) == 2 and abs(sum(x * x for x in vectors[0]) - 1) < 1e-3
    print("embeddings:", len(vectors[0]), "numbers")
    assert model.detokenize(model.tokenize("One, two,")) == "One, two,"
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    print("messages:", repr(model.generate(messages, max_tokens=8)))
    print("raw:", repr(model.generate(RawPrompt(text="Once upon a time"), max_tokens=8)))
    done = model.complete_many(
        ["Hi", "word " * 4000], return_exceptions=True, max_tokens=2
    )
    assert isinstance(done[1], PromptTooLong) and done[0].text is not None
    print("a prompt that is too long fails alone")

async def main():
    async with AsyncCPUInference(sys.argv[1], context_length=512) as model:
        events = [event async for event in model.stream("Hi", max_tokens=8)]
        task = asyncio.create_task(model.complete("Tell a long story.", max_tokens=400))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        after = await model.complete("Hi", max_tokens=2)
        print("asyncio:", len(events), "events; after a cancelled task:", repr(after.text))

asyncio.run(main())
"""


def run(*command: str | Path, **more: object) -> float:
    """Run a command; returns its seconds."""
    began = time.monotonic()
    subprocess.run([str(each) for each in command], check=True, **more)
    return time.monotonic() - began


def size_mib(folder: Path) -> float:
    """The size of an environment's packages."""
    files = (each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    return sum(each.stat().st_size for each in files) / 2**20


def installed(options: argparse.Namespace, folder: Path, package: str) -> tuple[Path, str]:
    """A new environment with a package: its interpreter, and a sentence about time and size."""
    run(options.uv, "venv", "--quiet", "--python", options.python, folder)
    interpreter = folder / "bin" / "python"
    command = [options.uv, "pip", "install", "--quiet", "--link-mode", "copy", "--no-config"]
    command += ["--find-links", options.wheels] if options.wheels else []
    seconds = run(*command, "--python", interpreter, package)
    size = size_mib(folder / "lib")
    return interpreter, f"{seconds:.1f} s, {size:.0f} MiB, without compiled Python files"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("wheel", nargs="?", default="")
    parser.add_argument("--python", default="3.11")
    parser.add_argument("--wheels", default="")
    parser.add_argument("--uv", default=shutil.which("uv") or str(ROOT / "build/uv/bin/uv"))
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "app"))
    from deepseek_r1.core.paths import starter_model  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        folder, wheel = Path(name), options.wheel
        if not wheel:
            seconds = run(options.uv, "build", "--quiet", "--wheel", "--out-dir", folder, cwd=ROOT)
            wheel = str(next(folder.glob("*.whl")))
            print(f"built {Path(wheel).name} in {seconds:.1f} s")
        python, ours = installed(options, folder / "ours", wheel)
        print("r1desk:", ours)
        _, theirs = installed(options, folder / "beside", BESIDE)
        print(BESIDE + ":", theirs, flush=True)
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        seconds = run(python, "-c", HOUR, starter_model(), cwd=folder, env=clean)
        print(f"all documented calls: {seconds:.1f} s")
        command = folder / "ours" / "bin" / "deepseek-r1"
        run(command, "generate", "Hi", "--model", starter_model(), "--max-tokens", "4", cwd=folder)


if __name__ == "__main__":
    main()
