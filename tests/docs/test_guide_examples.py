"""The examples of README and the guides run, in both languages, with small models.

`python tests/docs/test_guide_examples.py` prints which run and which do not, and why.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

sys.path.append(str(Path(__file__).resolve().parents[1]))

from support import document_files
from support.command import COMMAND, SOURCE
from support.patience import PATIENCE_S
from support.raw_gguf import U32, RawGguf, shallow
from support.servers import free_port, is_ready, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"(^|\s+)#.*$", re.MULTILINE)
NAME = "deepseek-r1"
# Commands that do not run here, by their beginning, and why.
LEFT_OUT = {
    "deepseek-r1 models pull": "downloads a model: tests/catalogue does, from a server of its own",
    "deepseek-r1 models files": "asks a hub: tests/catalogue does",
    "deepseek-r1 chat --model deepseek-r1-distill": "needs the model that was downloaded above",
    "deepseek-r1 bench serve": "takes minutes: tests/server/test_bench_serve.py runs short ones",
    "deepseek-r1 quality BASE": "is the form of the command",
    "pip install": "installs what others publish",
    "OPENAI_API_BASE_URL": "starts a program that others publish",
    "smg launch": "is a gateway before other computers: tests/server/test_gateway.py",
    "make ": "builds the application: tests/installer",
    "python3 installer": "builds packages: tests/installer",
    "sudo ": "needs the rights of root",
    "{": "is the shape of an answer",
}
# Answers are short, since their context is.
SHORT = """
import asyncio, deepseek_r1
class Short(deepseek_r1.CPUInference):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **({"context_length": 512} | options))
deepseek_r1.CPUInference = Short
from deepseek_r1 import AsyncCPUInference, CPUInference, RawPrompt
"""
BEFORE = 'model, prompts = CPUInference("model.gguf"), ["Hi", "Hello"]\n'


@dataclass(frozen=True)
class Example:
    """A block of a page: a command, with what belongs to it, in each line; or Python."""

    page: str
    python: bool
    text: str

    @property
    def commands(self) -> list[str]:
        return [each for each in self.text.replace("\\\n", " ").splitlines() if each.strip()]

    @property
    def left_out(self) -> dict[str, str]:
        """The commands that do not run, and why."""
        if self.python:
            return {}
        if self.text.startswith("{"):
            return dict.fromkeys(self.commands, LEFT_OUT["{"])
        return {
            each: why
            for each in self.commands
            for start, why in LEFT_OUT.items()
            if each.startswith(start)
        }


def examples() -> Iterator[Example]:
    """Each once: a Chinese page has mostly the English commands."""
    guides = ROOT / "docs/guides"
    pages = [*sorted(ROOT.glob("README*.md")), *sorted(guides.glob("*.md"))]
    found = set()
    for page in [*pages, *sorted(guides.glob("zh-CN/*.md"))]:
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type not in {"fence", "code_block"}:
                continue
            text = COMMENT.sub("", token.content).replace(".venv/bin/deepseek-r1", NAME).strip()
            if text not in found:
                found.add(text)
                name = page.relative_to(guides if guides in page.parents else ROOT).as_posix()
                yield Example(name, token.info == "python", text)


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def folder(starter: Path, shallow_starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    names = "model.gguf a.gguf b.gguf path/to/model.gguf r1-7b.gguf small.gguf r1-1.5b-f16.gguf"
    for name in [*names.split(), "r1-f16.gguf", "Downloads/model.gguf"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shallow_starter, folder / name)
    # One that can fill in the middle, with tokens that its vocabulary has for other uses.
    filling = RawGguf.parse(shallow_starter.read_bytes())
    for token, kind in enumerate(("pre", "suf", "mid"), 3):
        filling.set(f"tokenizer.ggml.fim_{kind}_token_id", U32, token)
    filling.write(folder / "model.gguf")
    prunable = shallow(starter, folder / "IN.gguf", blocks=8)  # of which six are removed
    for name in ("f16.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf"):
        (folder / name).symlink_to(prunable)
    for name in ("DeepSeek-R1-Distill-Qwen-1.5B", "path/to/folder"):
        shutil.copytree(ROOT / "tests/convert/reference/qwen2", folder / name)
    page = document_files.pdf([document_files.pdf_lines("The flat is cold.")])
    (folder / "lease.pdf").write_bytes(page)
    (folder / "offers").mkdir()
    (folder / "offers/one.txt").write_text("The flat is warm.")
    texts = {
        "question.txt": "Why?",
        "questions.txt": "Why?\tblue",
        "instructions.txt": "Be brief.",
        "person.json": SCHEMA,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    calibration = (ROOT / "resources/calibration/evaluation.txt").read_text(encoding="utf-8")
    (folder / "calibration.txt").write_text(calibration[:20_000], encoding="utf-8")
    (folder / "resources/calibration").mkdir(parents=True)
    (folder / "resources/calibration/evaluation.txt").write_text(calibration[:20_000])
    return folder


@pytest.fixture
def place(folder: Path, tmp_path: Path) -> Path:
    """These files for one example, which may write others."""
    place = tmp_path / "place"
    shutil.copytree(folder, place, symlinks=True, copy_function=os.link)
    return place


SCHEMA = '{"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}'


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.page)
def test_an_example_runs(example: Example, place: Path, shallow_starter: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(shallow_starter.parents[1]), str(SOURCE)]),
        "HOME": str(place),
        "R1DESK_PROFILE": str(place / "profile"),
        "LANG": "C.UTF-8",
        "LANGUAGE": "en",
    }
    if example.python:
        _run([sys.executable, "-c", _script(example.text)], place, environment)
        return
    commands = [each for each in example.commands if each not in example.left_out]
    if not commands:
        pytest.skip("; ".join(sorted(set(example.left_out.values()))))
    for at, command in enumerate(commands):
        words = shlex.split(command)
        if words[:2] == [NAME, "serve"]:
            requests = [each for each in commands[at + 1 :] if each.startswith("curl ")]
            _serve(words, requests, place, environment)
        elif words[0] == NAME:
            if words[1] in {"convert", "prune"} and "--input" not in words:
                (place / words[3]).unlink(missing_ok=True)  # it is never replaced
            _run(_short(words), place, environment)
        else:
            assert words[0] == "curl", f"what is {words[0]}?"


def _short(words: list[str]) -> list[str]:
    """The command, with few tokens."""
    words = [each.replace("~", "$HOME") for each in words]
    limited = "--max-tokens" in words or words[1] not in {"generate", "chat", "compare"}
    return [*COMMAND, *words[1:], *([] if limited else ["--max-tokens", "4"])]


def _script(text: str) -> str:
    if text.startswith("async "):
        text = f"async def main():\n{textwrap.indent(text, '    ')}\nasyncio.run(main())"
    made = "model = " in text or "as model" in text or "compare" in text
    return SHORT + ("" if made else BEFORE) + text


def _run(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    words = [each.replace("$HOME", environment["HOME"]) for each in words]
    text, output = "y\n", None  # a question of `chat`, and the answer where a command asks
    if ">" in words:
        at = words.index(">")
        output = folder / words[at + 1]
        del words[at : at + 2]
    if "<" in words:
        at = words.index("<")
        text = (folder / words[at + 1]).read_text()
        del words[at : at + 2]
    done = subprocess.run(
        words,
        input=text,
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S * 4,
        check=False,
    )
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
    if output is not None:
        output.write_text(done.stdout)


def _serve(words, requests, folder, environment):
    port = free_port()
    if "--port" in words:
        del words[words.index("--port") : words.index("--port") + 2]
    server = subprocess.Popen(
        [*COMMAND, *words[1:], "--port", str(port), "--context-length", "512"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            assert server.poll() is None, server.communicate()[1]
            return is_ready(address)

        wait_until(ready, "the server did not become ready")
        for request in requests:
            here = request.replace("localhost:8080", f"127.0.0.1:{port}")
            done = subprocess.run(
                ["curl", "--fail", "--silent", *shlex.split(here)[1:]],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert '"choices"' in done.stdout, done
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE_S)


def test_what_is_left_out_is_still_there() -> None:
    commands = [each for example in EXAMPLES for each in example.commands]
    assert [s for s in LEFT_OUT if not any(each.startswith(s) for each in commands)] == []


if __name__ == "__main__":
    for example in EXAMPLES:
        for command in [example.text] if example.python else example.commands:
            why = example.left_out.get(command, "")
            shown = " ".join(command.split())
            print(f"{example.page}: {shown[:90]}: {f'left out: {why}' if why else 'runs'}")
