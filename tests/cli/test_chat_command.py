"""The terminal chat: from a pipe, and on a real (pseudo) terminal."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from deepseek_r1.cli.app import app
from deepseek_r1.core.events import LoadProgress
from deepseek_r1.documents import index
from deepseek_r1.host.client import EngineClient
from support import document_files as made
from support.command import COMMAND, environment, run_here
from support.terminal import Terminal, on_terminal

pytestmark = pytest.mark.integration
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="uses a pseudo terminal")

SHORT = ["--max-tokens", "12", "--temperature", "0", "--context-length", "1024"]


@pytest.fixture
def short(shallow_starter: Path) -> list[str]:
    """Options of short answers that mean nothing."""
    return [*SHORT, "--model", str(shallow_starter)]


def test_a_pipe_gets_the_answers_and_nothing_else(short: list[str], tmp_path: Path):
    saved = tmp_path / "talk.md"
    text = f'Hello\n/think\n/nonsense\nSay \\\nhi\n"""a\nb"""\n/regenerate\n/save {saved}\n'
    done = run_here("chat", *short, text=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 4
    for command in ("think", "nonsense", "regenerate", "save", "›"):
        assert command not in done.stdout
    assert "no command /nonsense" in done.stderr
    kept = saved.read_text(encoding="utf-8")
    assert kept.count("## You") == 3
    assert "Say \nhi" in kept
    assert "\n\na\nb\n\n" in kept


def test_a_pipe_of_another_encoding_is_read(short: list[str], tmp_path: Path):
    saved = tmp_path / "talk.md"
    text = f"你好, r1\n/save {saved}\n".encode("gbk")
    command = [*COMMAND, "chat", *short]
    done = subprocess.run(
        command,
        input=text,
        env=environment(PYTHONIOENCODING="utf-8"),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\ufffd, r1\n" in saved.read_text(encoding="utf-8")


def test_a_cut_answer_goes_on_as_the_uncut_one(short: list[str]):
    text = "Tell me about dragons.\n/continue\n/continue\n"
    done = run_here("chat", "--json", *short, text=text)
    parts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [part["finish_reason"] for part in parts] == ["length"] * 3
    question = [*short[2:], "--max-tokens", "36", "Tell me about dragons."]
    whole = run_here("generate", "--json", *question)
    assert "".join(part["text"] for part in parts) == json.loads(whole.stdout)["text"]


def test_thinking_that_was_cut_goes_on_or_answers_now(shallow_starter: Path, tmp_path: Path):
    template = tmp_path / "thinking.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>\\n' }}")
    options = ["--chat-template", template, "--temperature", "5", "--top-p", "1", "--seed", "1"]
    options += ["--max-tokens", "6", "--context-length", "256", "--model", shallow_starter]
    done = run_here(
        "chat", "--json", *options, text="Hello\n/answer\n/answer\n/new\nHello\n/continue\n"
    )
    cut, answered, _, thought_on = (json.loads(line) for line in done.stdout.splitlines())
    assert (cut["finish_reason"], cut["inside_thinking"]) == ("context", True)
    assert (answered["thinking_end"], answered["completion_tokens"]) == ("budget", 6)
    assert answered["text"]
    assert thought_on["inside_thinking"]
    assert thought_on["text"] == ""
    assert "no answer that ended inside its thinking" in done.stderr  # the second /answer


def test_the_conversation_is_remembered_and_begun_anew(short: list[str]):
    text = "My name is Ann.\nHello\n/new\nHello\n"
    done = run_here("chat", "--json", *short, text=text)
    first, second, anew = (json.loads(line) for line in done.stdout.splitlines())
    assert second["prompt_tokens"] > first["prompt_tokens"]
    assert anew["prompt_tokens"] < second["prompt_tokens"]


def test_a_file_that_is_there_is_not_written_over(short: list[str], tmp_path: Path):
    (tmp_path / "there.md").write_text("mine")
    done = run_here("chat", *short, text=f"/save {tmp_path / 'there.md'}\n")
    assert "cannot be written" in done.stderr
    assert (tmp_path / "there.md").read_text() == "mine"


def test_another_model_is_called_by_its_name_as_well(short, shallow_starter, own_profile):
    path = own_profile / "models" / "again.gguf"
    path.parent.mkdir(parents=True)
    shutil.copy(shallow_starter, path)
    done = run_here("chat", *short, text="/model again\n/model\n/model nowhere\n")
    assert str(path) in done.stderr
    assert done.returncode == 3  # the last one is not there


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal elsewhere")
def test_ctrl_c_stops_a_change_of_model_and_the_chat_goes_on_with_the_one_before(
    short: list[str], shallow_starter: Path, starter: Path, tmp_path: Path, monkeypatch
):
    other = tmp_path / "other.gguf"
    shutil.copy(starter, other)  # all of it: its load is long enough to be stopped
    loads: list[Path] = []
    pressed: list[LoadProgress] = []
    load = EngineClient.load

    def load_and_press(engine, path, settings, *, on_event, **more):
        loads.append(path)

        def press(event) -> None:
            on_event(event)
            if (
                loads == [shallow_starter, other]
                and isinstance(event, LoadProgress)
                and not pressed
            ):
                pressed.append(event)
                os.kill(os.getpid(), signal.SIGINT)

        return load(engine, path, settings, on_event=press, **more)

    monkeypatch.setattr(EngineClient, "load", load_and_press)
    typed = f"My name is Ann.\n/model {other}\n/model\nHello\n"
    for _ in range(5):  # on a busy machine a load may be over before the key is pressed
        loads.clear()
        pressed.clear()
        done = CliRunner().invoke(app, ["chat", "--json", *short], input=typed)
        assert done.exit_code == 0, done.stderr
        if len(loads) > 2:
            break
    assert loads == [shallow_starter, other, shallow_starter]
    assert "was stopped" in done.stderr
    assert str(shallow_starter) in done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert second["prompt_tokens"] > first["prompt_tokens"]  # the conversation is still there


def test_a_change_to_a_file_of_no_use_leaves_the_model_and_the_chat(short, tmp_path):
    (tmp_path / "text.gguf").write_text("not a model")
    done = run_here("chat", *short, text=f"/model {tmp_path / 'text.gguf'}\nHello\n")
    assert done.returncode == 3
    assert done.stdout.strip()


def test_too_long_a_message_is_refused_and_the_chat_goes_on(short: list[str]):
    long = "word " * 2000
    done = run_here("chat", *short, text=f"{long}\nHello\n")
    assert done.returncode == 1  # for a script: something was not answered
    assert "tokens and the context holds" in done.stderr
    assert done.stdout.strip()


def test_a_document_for_which_the_disk_has_no_space_leaves_the_others_there(
    short: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def opened(path: Path | None, opened=index.opened) -> sqlite3.Connection:
        db = opened(path)
        db.execute("PRAGMA max_page_count = 100")
        return db

    monkeypatch.setattr(index, "opened", opened)
    (small := tmp_path / "small.txt").write_text("Oak and stone.")
    (large := tmp_path / "large.txt").write_text("The ferry leaves at seven.\n\n" * 30_000)
    done = run_here("chat", *short, text=f"/document {small}\n/document {large}\n/document\n")
    assert "the permissions of the temporary folder" in done.stderr
    assert done.stderr.rstrip().endswith("Attached documents: 1")


def test_a_model_that_is_refused_is_exit_code_3(tmp_path: Path):
    done = run_here("chat", "--model", tmp_path / "none.gguf", text="Hello\n")
    assert (done.returncode, done.stdout) == (3, "")


# Nearly random words, the same each time, among which the end of the answer does not come up.
ENDLESS = ["--max-tokens=1900", "--temperature=5", "--top-p=1", "--top-k=0", "--min-p=0"]
ENDLESS += ["--seed=1"]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    command = [*COMMAND, "chat", "--context-length", "2048", *ENDLESS]
    with on_terminal(command, environment()) as terminal:
        terminal.wait_for("› ")
        yield terminal


@posix_only
def test_ctrl_c_stops_the_answer_and_only_a_second_one_leaves(terminal: Terminal):
    terminal.type("Hello\n")
    terminal.wait_for_more(200)
    terminal.interrupt()
    at = terminal.wait_for("stopped")
    at = terminal.wait_for("› ", at)
    terminal.interrupt()
    at = terminal.wait_for("once more", at)
    terminal.wait_for("› ", at)
    terminal.interrupt()
    assert terminal.ended() == 0


@posix_only
def test_stop_is_typed_while_the_answer_is_written_and_ctrl_d_leaves(terminal: Terminal):
    terminal.type("Hello\n")
    terminal.wait_for_more(200)
    terminal.type("/stop\n")
    at = terminal.wait_for("stopped")
    terminal.wait_for("› ", at)
    terminal.type("\x04")
    assert terminal.ended() == 0


@posix_only
def test_what_was_typed_is_remembered_for_the_next_chat(terminal: Terminal, own_profile: Path):
    terminal.type("/help\n")
    at = terminal.wait_for("/regenerate")
    terminal.wait_for("› ", at)
    terminal.type("/quit\n")
    assert terminal.ended() == 0
    history = own_profile / "chat_history"
    assert "/help" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


@posix_only
def test_the_password_of_a_pdf_is_asked_at_the_terminal_and_not_shown(short, tmp_path):
    path = tmp_path / "lease.pdf"
    path.write_bytes(made.locked_pdf("geheim-7", "The code is 4711."))
    with on_terminal([*COMMAND, "chat", *short], environment()) as terminal:
        terminal.wait_for("› ")
        terminal.type(f"/document {path}\n")
        at = terminal.wait_for("lease.pdf (Enter leaves it out): ")
        terminal.type("geheim-8\n")
        at = terminal.wait_for("The password is wrong.", at)
        at = terminal.wait_for("lease.pdf (Enter leaves it out): ", at)
        terminal.type("geheim-7\n")
        at = terminal.wait_for("Attached documents: 1", at)
        assert "geheim" not in terminal.output
        terminal.type("/quit\n")
        assert terminal.ended() == 0


def test_a_locked_pdf_is_refused_in_a_sentence_where_nobody_can_be_asked(short, tmp_path):
    (path := tmp_path / "lease.pdf").write_bytes(made.locked_pdf("geheim-7", "4711"))
    done = run_here("chat", *short, text=f"/document {path}\n")
    assert "lease.pdf could not be opened.\nIt is password-protected.\n" in done.stderr
