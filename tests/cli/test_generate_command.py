"""`deepseek-r1 generate`: its JSON, its exit codes, its notices, and how it stops."""

import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from deepseek_r1.cli import answering
from deepseek_r1.cli.answering import ShortageNotifier, summary
from deepseek_r1.cli.app import app
from deepseek_r1.cli.generate_command import MAX_PROMPT_BYTES, _weights_report
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import (
    AnswerDelta,
    Bill,
    BillLine,
    FinishReason,
    GenerationStats,
    MemoryState,
    WeightsStats,
)
from deepseek_r1.core.process_lock import LANDLOCK, SIGNALS
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import VERSION, EnginePhase, Handshake, Heartbeat
from support.command import run, run_here, start
from support.patience import PATIENCE_S, wait_until
from support.processes import programs_below

pytestmark = pytest.mark.integration

SMALL = ["--context-length", "512", "--micro-batch", "64", "--temperature", "0", "--seed", "1"]
NUMBER = (int, float)
CONTRACT = {
    "text": str,
    "thinking": str,
    "finish_reason": str,
    "inside_thinking": bool,
    "thinking_end": (str, type(None)),
    "prompt_tokens": int,
    "completion_tokens": int,
    "timings": dict.fromkeys(["load_s", "ttft_s", "prefill_tok_s", "decode_tok_s"], NUMBER),
    "memory": dict.fromkeys(["budget_mb", "planned_mb", "peak_mb"], NUMBER),
    "weights": dict.fromkeys(
        ["pinned_mb", "streamed_mb", "read_mb", "io_wait_s", "hit_rate"], NUMBER
    ),
    "sources": list,
    "speculation": dict.fromkeys(["drafted", "accepted", "tokens_per_pass"], NUMBER),
}


def has_shape(value, shape):
    if isinstance(shape, dict):
        assert set(value) == set(shape)
        return all(has_shape(value[key], shape[key]) for key in shape)
    return isinstance(value, shape)


@pytest.fixture(scope="module")
def report():
    done = run("generate", "--json", "--max_tokens", "12", *SMALL, "Name a colour.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_the_json_contract(report):
    assert has_shape(report, CONTRACT)


def test_the_numbers_are_those_of_this_run(report):
    assert report["text"].strip()
    assert report["finish_reason"] in {"stop", "length"}
    assert 1 <= report["completion_tokens"] <= 12
    assert report["prompt_tokens"] > 4
    assert all(value > 0 for value in report["timings"].values())
    assert report["weights"] == {
        "pinned_mb": 92.1, "streamed_mb": 0.0, "read_mb": 0.0, "io_wait_s": 0.0, "hit_rate": 1.0,
    }  # fmt: skip
    assert report["speculation"] == {"drafted": 0, "accepted": 0, "tokens_per_pass": 1.0}


def test_the_plan_and_the_answer_agree_on_the_bill(report):
    done = run_here("plan", "--json", "--context_length", "512", "--micro_batch", "64")
    planned = json.loads(done.stdout)["total_mb"]
    assert report["memory"]["planned_mb"] == pytest.approx(planned, rel=0.01)


def test_the_peak_stays_near_the_plan(report):
    planned, peak = report["memory"]["planned_mb"], report["memory"]["peak_mb"]
    assert peak == pytest.approx(planned, rel=0.05)


def test_the_answer_alone_goes_to_standard_output(report):
    done = run("generate", "--max-tokens=12", *SMALL, "-", text="Name a colour.")
    assert done.returncode == 0
    assert done.stdout == report["text"] + "\n"
    assert done.stderr == ""


def test_the_published_spelling_is_accepted():
    done = run_here(
        "generate", "--memory_budget", "1024", "--batch_size", "4", "--thread_count", "2",
        "--cache_strategy=auto", "--max_tokens", "2", "--context_length", "512", "Hi",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "4 changes nothing here" in done.stderr


def test_a_budget_too_small_is_refused_with_the_way_out():
    done = run_here("generate", "--memory-budget=256", "--context-length=4096", "--json", "Hi")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the memory budget is 256 MiB." in done.stderr
    assert "It fits with" in done.stderr


def engine_of(process):
    """The engine's process, once it computes an answer."""

    found = []

    def look():
        found.extend(programs_below(process.pid, ChildKind.ENGINE.value.module))
        return found

    wait_until(look, "no engine was started")
    return found[0]


# Nearly random words, the same each time, among which the end of the answer does not come up.
LONG = ["generate", "--max-tokens", "3000", "--temperature", "5", "--top-p", "1", "--seed", "1"]
LONG += ["Count."]


def test_an_engine_that_is_killed_is_exit_code_4_and_says_how():
    with start(*LONG) as process:
        engine = engine_of(process)
        assert process.stdout.read(1)
        engine.kill()
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 4
    assert "SIGKILL" in errors
    assert "Traceback" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal elsewhere")
def test_ctrl_c_ends_the_answer_and_the_engine(shallow_starter, monkeypatch):
    generate, pids = EngineClient.generate, []

    def generate_and_press(client, *args, **options):
        for event in generate(client, *args, **options):
            if isinstance(event, AnswerDelta) and not pids:
                pids.append(client.pid)
                os.kill(os.getpid(), signal.SIGINT)
            yield event

    monkeypatch.setattr(EngineClient, "generate", generate_and_press)
    done = CliRunner().invoke(app, [*LONG, "--json", "--model", str(shallow_starter)])
    assert done.exit_code == 130, done.output
    assert json.loads(done.stdout)["finish_reason"] == "cancelled"
    assert not psutil.pid_exists(pids[0])


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal elsewhere")
def test_ctrl_c_between_load_and_answer_is_not_lost(starter, monkeypatch):
    load = EngineClient.load

    def load_and_press(*args, **options):
        loaded = load(*args, **options)
        os.kill(os.getpid(), signal.SIGINT)
        return loaded

    monkeypatch.setattr(EngineClient, "load", load_and_press)
    done = CliRunner().invoke(app, ["generate", "Tell a long story", "--model", str(starter)])
    assert (done.exit_code, done.stdout) == (130, "")


def test_a_reader_that_leaves_ends_the_command():
    with start(*LONG) as process:
        engine = engine_of(process)
        assert process.stdout.read(1)
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=PATIENCE_S) == 1
    assert errors == ""
    assert not engine.is_running()


def test_a_streamed_answer_comes_with_its_weights_numbers(starter_int8):
    done = run(
        "generate", "--json", "--memory_budget", "256", "--swap_enabled", "--max-tokens", "4",
        "--temperature", "0", "--model", starter_int8, "Hi",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    weights = report["weights"]
    assert weights["streamed_mb"] > 0
    assert weights["read_mb"] >= weights["streamed_mb"]  # at least one pass
    assert 0 < weights["hit_rate"] < 1
    assert weights["io_wait_s"] >= 0
    assert report["memory"]["planned_mb"] <= 256


def test_a_shortage_of_memory_is_told_once_on_the_side(capsys):
    def beat(short: bool) -> Heartbeat:
        memory = MemoryState(budget_mib=900, wanted_mib=1024, batch=64, short=short, streams=True)
        return Heartbeat(
            phase=EnginePhase.WORKING, idle_s=0, cpu_s=0, rss_mib=1, peak_mib=1, context_used=0,
            context_length=1, memory=memory,
        )  # fmt: skip

    tell = ShortageNotifier()
    for short in (False, True, True, False, False):
        tell(beat(short))
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert "short of memory" in first
    assert "enough memory again" in second


def test_a_mixture_also_tells_what_is_kept_and_how_often_it_was_there():
    bill = Bill(lines=(BillLine(name="slots", planned_mib=1.0),), budget_mib=300.0)
    counted = WeightsStats(
        hits=90, misses=10, expert_hits=30, expert_misses=10, strategy=CacheStrategy.LFU
    )
    report = _weights_report(counted, bill)
    assert (report["hit_rate"], report["expert_hit_rate"]) == (0.9, 0.75)
    assert report["strategy"] == "lfu"
    dense = _weights_report(WeightsStats(hits=1, misses=1), bill)
    assert not dense.keys() & {"strategy", "expert_hit_rate"}


def test_an_answer_held_to_a_schema_is_in_the_bill(tmp_path: Path):
    schema = tmp_path / "list.json"
    schema.write_text('{"type": "array", "items": {"type": "string"}, "minItems": 4}')
    done = run(
        "generate", "--json", "--json-schema", schema, "--max-tokens", "12", "--seed", "1",
        "--context-length", "1024", "Name four colours.",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    memory = json.loads(done.stdout)["memory"]
    assert memory["peak_mb"] < 1.05 * memory["planned_mb"]
    assert memory["peak_mb"] > 0.8 * memory["planned_mb"]


def test_a_file_of_windows_notepad_is_read_without_its_mark(tmp_path: Path, shallow_starter: Path):
    schema = tmp_path / "digit.json"
    schema.write_text('{"type": "integer"}', encoding="utf-8-sig")
    done = run_here("generate", "-m", shallow_starter, *SMALL, "--json-schema", schema, "A number.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().lstrip("-").isdecimal()


def test_a_folder_that_cannot_be_made_is_an_error_with_a_reason(tmp_path, starter):
    (tmp_path / "file").write_text("in the way")
    done = run_here("generate", "Hi", "--model", starter, "--prompt-cache", tmp_path / "file")
    assert done.returncode == 2
    assert "file" in done.stderr


def test_a_question_without_an_end_is_refused():
    asked = CliRunner().invoke(app, ["generate", "-"], input=b"a" * (MAX_PROMPT_BYTES + 1))
    assert isinstance(asked.exception, WrongUsage)
    assert "8 MiB" in str(asked.exception)


STATS = GenerationStats(
    finish_reason=FinishReason.STOP, prompt_tokens=3800, completion_tokens=10, cached_tokens=2560
)


def test_what_came_from_the_disk_is_shown_where_anything_did() -> None:
    assert "from disk" not in summary(STATS)
    restored = STATS.model_copy(update={"restored_tokens": 2560})
    assert summary(restored).endswith("2,560 of 3,800 prompt tokens from disk")


@pytest.mark.parametrize(("missing", "lines"), [((LANDLOCK,), 1), ((SIGNALS,), 0), ((), 0)])
def test_a_linux_that_cannot_lock_the_engine_is_named_once(missing, lines, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(answering, "missing_parts", lambda: missing)
    notifier = ShortageNotifier()
    for pid in (1, 2):  # the engine is started again
        notifier(Handshake(version=VERSION, pid=pid, engine="none"))
    assert capsys.readouterr().err.count("Landlock") == lines
