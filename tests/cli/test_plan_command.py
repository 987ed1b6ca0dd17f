import json
import re

import pytest

from support.command import run_code, run_here
from support.gguf_files import CONTEXT, tiny_llama

LINES = ["weights", "kv_cache", "compute", "output", "runtime", "window", "reserve"]


def planned(*args):
    done = run_here("plan", "--json", *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_the_json_contract(starter):
    bill = planned(starter)
    assert set(bill) == {"fits", "streams", "lines", "total_mb", "budget_mb", "advice"}
    assert [line["name"] for line in bill["lines"]] == LINES
    assert bill["total_mb"] == pytest.approx(sum(line["mb"] for line in bill["lines"]), abs=0.1)
    assert (bill["fits"], bill["streams"], bill["budget_mb"], bill["advice"]) == (
        True,
        False,
        2048,
        "",
    )


def test_the_starter_model_is_the_default(starter):
    assert planned() == planned(starter) == planned("--model", starter)


def test_a_bill_over_the_budget_comes_with_advice_that_fits():
    bill = planned("--memory-budget", "256", "--context-length", "4096")
    assert not bill["fits"]
    changes = {
        "--micro-batch": r"a batch of (\d+)",
        "--kv-type": r"a context precision of (\w+)",
        "--context-length": r"a context of ([\d,]+) tokens",
    }
    found = {name: re.search(text, bill["advice"]) for name, text in changes.items()}
    options = [f"{name}={match[1].replace(',', '')}" for name, match in found.items() if match]
    assert options
    again = planned("--memory-budget=256", "--context-length=4096", *options)
    assert again["fits"]


def test_a_model_over_the_budget_streams_when_it_may(starter, starter_int8):
    options = [starter, "--memory-budget=256", "--context-length=3840"]
    refused = planned(*options)
    assert (refused["fits"], refused["streams"]) == (False, False)
    for option in ("--swap_enabled", "--swap-enabled"):
        bill = planned(*options, option)
        assert (bill["fits"], bill["streams"], bill["advice"]) == (True, True, "")
        assert [line["name"] for line in bill["lines"]] == ["pinned", "slots", *LINES[1:]]
        assert bill["streamed_mb"] > 0
        assert (
            bill["short_streamed_mb"] == 0.0
        )  # a context that is not full yet leaves room for all
    large = planned(starter_int8, "--memory-budget=256", "--swap-enabled")
    assert 0 < large["short_streamed_mb"] < large["streamed_mb"]
    assert 0 < large["disk_tok_s"] < large["disk_mb_s"] / large["short_streamed_mb"]


def test_people_read_what_is_read(starter_int8):
    done = run_here("plan", starter_int8, "--memory-budget=256", "--swap_enabled")
    assert re.search(r"Weights in memory +\d+ MiB\n", done.stdout)
    words = done.stdout.replace("\n", " ")
    assert re.search(r"MiB are read for every token, in a long conversation \d+\. Roughly", words)


def test_people_read_mib():
    done = run_here("plan", "--memory-budget", "256", "--context-length", "4096")
    assert done.returncode == 0
    assert re.search(r"Weights +92 MiB\n", done.stdout)
    assert "It does not fit. It fits with" in done.stdout


def test_no_native_library_is_needed(starter):
    code = (
        "import sys; sys.modules.update(llama_cpp=None, numpy=None); sys.argv = sys.argv[:1] + "
        f"['plan', {str(starter)!r}]; from deepseek_r1.cli import main; main()"
    )
    done = run_code(code)
    assert done.returncode == 0, done.stderr


def test_a_model_with_less_context_is_planned_with_what_it_has(tmp_path):
    model = tiny_llama(tmp_path / "short.gguf")
    assert CONTEXT < 4096
    assert planned(model) == planned(model, "--context-length", str(CONTEXT))
    refused = run_here("plan", model, "--context-length", "4096")
    assert refused.returncode == 3
    assert "4,096" in refused.stderr


def test_the_context_is_automatic_without_a_number():
    assert planned() == planned("--context-length=0") == planned("--context-length=8192")
