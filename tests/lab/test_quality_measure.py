"""Two versions of a model are compared by what they really predict."""

import dataclasses
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from deepseek_r1.cli.app import app
from deepseek_r1.core import child_call
from deepseek_r1.core.errors import BudgetTooSmall, EngineDied, ProtocolBroken
from deepseek_r1.lab import quality_command as report
from deepseek_r1.lab.errors import (
    NoSpaceForLogits,
    PlotsMissing,
    TextTooShort,
    TextUnreadable,
    VocabulariesDiffer,
)
from deepseek_r1.lab.quality_load import read_text
from deepseek_r1.lab.quality_measure import divergence, grouped, log_softmax, margins
from deepseek_r1.lab.quality_run import MeasurementSettings, compare
from support.command import run_here

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def nobody(_model: Path, _done: int, _total: int) -> None:
    """Watches no progress."""


def test_int8_is_close_and_half_as_large(f16: Path, int8: Path, short_terms: MeasurementSettings):
    heard: list[Path] = []
    base, packed = compare(
        f16, [int8], short_terms, lambda model, _done, _total: heard.append(model)
    )
    assert set(heard) == {f16, int8}
    assert base.divergence is None
    assert packed.divergence is not None
    assert 1e-5 < packed.divergence.mean < 0.02
    assert packed.divergence.p99 >= packed.divergence.mean
    assert 0.9 < packed.divergence.agreement < 1.0
    groups = packed.divergence.by_margin
    assert sum(each.positions for each in groups) == base.scored
    differing = sum(each.differing for each in groups)
    assert differing == round((1 - packed.divergence.agreement) * base.scored)
    assert groups[-1].differing == 0  # where the base is sure, nothing changes
    assert packed.correct == pytest.approx(base.correct, abs=0.03)
    assert packed.nll == pytest.approx(base.nll, abs=0.03)
    assert packed.file_bytes < 0.55 * base.file_bytes
    assert packed.loaded_mib < base.loaded_mib - 80
    assert base.scored == 256
    assert 1.5 < base.nll < 4.5  # a text that the model can read
    assert min(base.decode_tok_s, base.prefill_tok_s) > 0


def test_the_margin_is_the_distance_of_the_first_two_choices():
    rows = log_softmax(np.log(np.array([[0.6, 0.3, 0.1], [0.1, 0.45, 0.45]], np.float32)))
    assert margins(rows) == pytest.approx([np.log(2), 0.0], abs=1e-6)
    groups = grouped(margins(rows), np.array([False, True]))
    found = [(each.least, each.positions, each.differing) for each in groups if each.positions]
    assert found == [(0.0, 1, 1), (0.5, 1, 0)]


def test_the_divergence_is_the_textbooks():
    base = log_softmax(np.log(np.array([[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]], np.float32)))
    other = log_softmax(np.log(np.array([[0.25, 0.5, 0.25], [0.9, 0.05, 0.05]], np.float32)) + 7)
    assert divergence(base, other) == pytest.approx([0.25 * np.log(2), 0.0], abs=1e-6)


def test_models_with_other_vocabularies_are_not_compared(int8, tiny_qwen2, short_terms):
    terms = dataclasses.replace(short_terms, window=64, most_scored=32)
    with pytest.raises(VocabulariesDiffer):
        compare(tiny_qwen2, [int8], terms, nobody)


@pytest.mark.parametrize(
    ("content", "error"), [(b"Too short.", TextTooShort), (b"\xff\xfe\x00", TextUnreadable)]
)
def test_a_text_that_cannot_serve_is_refused(content, error, tiny_qwen2, short_terms, tmp_path):
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    terms = dataclasses.replace(short_terms, text=text)
    with pytest.raises(error):
        compare(tiny_qwen2, [tiny_qwen2], terms, nobody)


def test_the_memory_budget_and_the_limit_of_the_disk_hold(f16, tiny_qwen2, short_terms):
    with pytest.raises(BudgetTooSmall):
        compare(f16, [], dataclasses.replace(short_terms, memory_budget_mib=256), nobody)
    with pytest.raises(NoSpaceForLogits):
        compare(tiny_qwen2, [], dataclasses.replace(short_terms, disk_limit_mib=0), nobody)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("import os; os.kill(os.getpid(), 9)", EngineDied),
        ("print('not JSON')", ProtocolBroken),
    ],
)
def test_a_process_that_dies_or_writes_nonsense_is_reported_as_that(
    program: str, error: type, short_terms: MeasurementSettings, f16: Path
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child_call, "child_command", lambda _kind: [sys.executable, "-c", program])
        with pytest.raises(error):
            compare(f16, [], short_terms, nobody)


def test_the_command_prints_one_object_and_draws_a_picture(tiny_qwen2, short_terms, tmp_path):
    picture = tmp_path / "picture.png"
    words = ["quality", tiny_qwen2, tiny_qwen2, "--text", short_terms.text, "--window", 64]
    words += ["--tokens", 64, "--plot", picture, "--json", "--memory_budget", 1024]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["scored_tokens"] == 64
    base, other = found["models"]
    assert base["divergence"] is None
    assert other["divergence"]["mean"] == 0.0
    assert other["agreement"]["top1"] == 1.0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_fails_leaves_the_numbers(tiny_qwen2, short_terms, tmp_path):
    other = tmp_path / "new$^$.gguf"  # matplotlib takes it for a formula
    shutil.copy(tiny_qwen2, other)
    words = ["quality", tiny_qwen2, other, "--text", short_terms.text, "--window", "64"]
    words += ["--tokens", "64", "--plot", tmp_path / "picture.png", "--json"]
    done = run_here(*words, "--memory-budget", "1024")
    assert json.loads(done.stdout)["scored_tokens"] == 64
    assert done.returncode == 3
    assert "picture.png cannot be written." in done.stderr


@pytest.mark.parametrize("option", ["--plot", "--scratch"])
def test_a_place_that_is_not_there_is_named_before_anything_is_measured(option, tmp_path):
    place = tmp_path / "nowhere" / "place"
    done = run_here("quality", "none.gguf", "none.gguf", "--text", "none.txt", option, place)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{place} cannot be written." in done.stderr


def test_without_matplotlib_a_plot_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    words = ["quality", "none.gguf", "none.gguf", "--text", "none.txt", "--plot", "picture.png"]
    assert isinstance(CliRunner().invoke(app, words).exception, PlotsMissing)


def test_every_number_has_its_uncertainty(tiny_qwen2: Path, short_terms: MeasurementSettings):
    measured = compare(tiny_qwen2, [tiny_qwen2], short_terms, nobody)
    table = report.rows(measured)
    assert all("±" in value for value in table["Perplexity"])
    assert all("±" in value for value in table["Right first choice"])
    assert table["Same first choice"] == ["–", "100.00 ± 0.00 %"]
    half, less = (
        each.model_copy(update={"correct": c})
        for each, c in zip(measured, (0.5, 0.45), strict=True)
    )
    assert "90.0 % of the accuracy" in report.verdict(half, less)


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/zero")
def test_a_text_without_an_end_is_refused():
    with pytest.raises(TextUnreadable, match="larger"):
        read_text(Path("/dev/zero"))
