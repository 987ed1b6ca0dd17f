"""Fewer channels and blocks: an ordinary smaller file, and the rest fitted to what was lost."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from convert.plain_llama import PlainLlama
from deepseek_r1.cli.app import app
from deepseek_r1.convert.job import (
    ConversionProgress,
    ConversionRequest,
    ConversionResult,
    ConversionStage,
)
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.convert.source_tensors import SourceTensor
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.formats.ggml_types import F32
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.lab.prune.prune_blocks import least_turning, require_removable
from deepseek_r1.lab.prune.prune_fit import fit_mib, fitted_columns
from deepseek_r1.lab.prune.prune_model import Pruning, kept_channels, most_important, prune
from deepseek_r1.lab.quality.quality_child import Launch
from deepseek_r1.lab.quality.quality_errors import FitTooLarge, NoSpaceForLogits, PruningRefused
from quality.conftest import TEXTS, converted
from support.budgets import ROOMY_MIB

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="session")
def short_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One window of the starter model's tokens."""
    text = tmp_path_factory.mktemp("texts") / "short.txt"
    text.write_text((TEXTS / "calibration.txt").read_text(encoding="utf-8")[:2600], "utf-8")
    return text


def pruned(source: Path, target: Path, pruning: Pruning, launch: Launch) -> ConversionResult:
    wish = ConversionRequest(source, target, precision_named("int8"), ROOMY_MIB, threads=2)
    return prune(wish, pruning, launch, lambda _done, _total: None, lambda _progress: None)


def matrix(values: npt.NDArray[np.float32], name: str = "m") -> SourceTensor:
    return SourceTensor(name, values.shape[::-1], F32, lambda first, last: values[first:last])


def test_a_pruned_model_is_smaller_says_so_and_opens_in_plain_llama_cpp(
    shallow_starter: Path, started: Launch, short_text: Path, tmp_path: Path
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pruning = Pruning(0.3, short_text, blocks=2, scratch=scratch)
    done = pruned(shallow_starter, tmp_path / "pruned.gguf", pruning, started)
    assert list(scratch.iterdir()) == []  # it was used, and left as it was
    header = read_header(done.path)
    assert (header.feed_forward, header.blocks) == (1088, 1)
    assert header.metadata["general.description"] == (
        "Lossy: 29 % of the feed-forward channels and 2 of 3 blocks were removed."
    )
    model = llama_cpp.Llama(str(done.path), n_ctx=64, n_threads=2, verbose=False)
    answer = model("The capital of France is", max_tokens=4, temperature=0.0)
    model.close()
    assert answer["usage"]["completion_tokens"] == 4


def test_fewer_blocks_and_channels_at_once(tiny_qwen2: Path, started: Launch, tmp_path: Path):
    whole = read_header(tiny_qwen2)
    pruning = Pruning(0.5, TEXTS / "calibration.txt", blocks=1)
    done = pruned(tiny_qwen2, tmp_path / "small.gguf", pruning, started)
    header = read_header(done.path)
    assert header.blocks == whole.blocks - 1
    assert header.feed_forward < whole.feed_forward
    assert f"1 of {whole.blocks} blocks" in str(header.metadata["general.description"])
    with PlainLlama(done.path) as model:
        assert np.isfinite(model.logits(model.tokens("one two three"))).all()


def test_the_channels_need_not_be_touched_to_remove_blocks(
    tiny_qwen2: Path, started: Launch, tmp_path: Path
):
    pruning = Pruning(0.0, TEXTS / "calibration.txt", blocks=1)
    done = pruned(tiny_qwen2, tmp_path / "short.gguf", pruning, started)
    header = read_header(done.path)
    assert header.feed_forward == read_header(tiny_qwen2).feed_forward
    assert "channels" not in str(header.metadata["general.description"])


def test_the_blocks_that_turn_the_stream_least_go_and_the_first_stays():
    turns = np.array([np.nan, 0.3, 0.01, 0.2, 0.02, 0.5], np.float32)
    assert least_turning(turns, 2) == [2, 4]
    with pytest.raises(PruningRefused):
        least_turning(np.array([np.nan, np.nan], np.float32), 1)


def test_the_fit_restores_what_a_removed_copy_carried(tmp_path: Path):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(400, 6)).astype(np.float32)
    inputs[:, 5] = 2 * inputs[:, 0]
    inputs.tofile(tmp_path / "inputs.f32")
    down = rng.normal(size=(4, 6)).astype(np.float32)
    chosen = np.arange(5)
    whole = inputs @ down.T
    fitted = inputs[:, chosen] @ fitted_columns(matrix(down), tmp_path / "inputs.f32", chosen).T
    cut = inputs[:, chosen] @ down[:, chosen].T
    assert np.linalg.norm(fitted - whole) < 0.05 * np.linalg.norm(cut - whole)


_FIT = """
import sys
from pathlib import Path
import numpy as np
from deepseek_r1.lab.prune.prune_fit import fitted_columns
from deepseek_r1.convert.source_tensors import SourceTensor
from deepseek_r1.formats.ggml_types import F32
from deepseek_r1.memory.meter import peak_mib

inputs = Path(sys.argv[1])
np.random.default_rng(0).normal(size=(64, 1536)).astype(np.float32).tofile(inputs)
down = SourceTensor("m", (1536, 576), F32, lambda a, b: np.ones((b - a, 1536), np.float32))
np.linalg.solve(np.eye(64), np.ones((64, 4)))
before = peak_mib()
fitted_columns(down, inputs, np.arange(1088))
print(peak_mib() - before)
"""


def test_a_fit_takes_no_more_memory_than_is_said_beforehand(started: Launch, tmp_path: Path):
    words = [sys.executable, "-c", _FIT, str(tmp_path / "inputs.f32")]
    ran = subprocess.run(
        words, env=dict(started.environment), capture_output=True, text=True, check=True
    )
    assert 20 < float(ran.stdout) < fit_mib(1536, 1088, 576)


def test_the_channels_that_contribute_least_go():
    lengths = np.array([1.0, 9.0, 3.0], np.float32)
    squares = np.array([100.0, 0.01, 4.0], np.float32)  # contributions 10, 0.9, 6
    assert most_important(lengths, squares, 2).tolist() == [0, 2]


def test_a_mixture_of_experts_is_refused(tmp_path: Path):
    folder = Path(__file__).parents[1] / "convert" / "reference" / "deepseek_v2"
    header = read_header(converted(folder, tmp_path / "mixture.gguf", "f32"))
    with pytest.raises(PruningRefused):
        kept_channels(header, 0.3)
    with pytest.raises(PruningRefused):
        require_removable(header, 1)


def test_the_first_block_stays(tiny_qwen2: Path):
    header = read_header(tiny_qwen2)
    with pytest.raises(PruningRefused):
        require_removable(header, header.blocks)


def test_a_fit_that_does_not_fit_the_budget_is_refused_before_anything_is_read(
    starter: Path, started: Launch, tmp_path: Path
):
    header = replace(read_header(starter), feed_forward=18_944)
    assert fit_mib(header.feed_forward, 13_312, 3584) > 2500
    wish = ConversionRequest(starter, tmp_path / "never.gguf", precision_named("int8"), 100)
    none = tmp_path / "none.txt"
    with pytest.raises(FitTooLarge, match="allows 100"):
        prune(wish, Pruning(0.3, none), started, lambda *_: None, lambda _: None)
    with pytest.raises(NoSpaceForLogits):
        pruned(starter, wish.output, Pruning(0.3, none, disk_limit_mib=1), started)


@pytest.mark.parametrize("second", ["calibration.txt", "evaluation.txt"])
def test_a_run_that_was_ended_goes_on_only_with_the_same_text(
    tiny_qwen2: Path, started: Launch, tmp_path: Path, second: str
):
    def ends_halfway(progress: ConversionProgress) -> None:
        if progress.stage is ConversionStage.WRITING and progress.done > progress.total / 2:
            raise KeyboardInterrupt

    target = tmp_path / "out.gguf"
    wish = ConversionRequest(tiny_qwen2, target, precision_named("int8"), ROOMY_MIB, threads=2)
    first = Pruning(0.5, TEXTS / "calibration.txt")
    with pytest.raises(KeyboardInterrupt):
        prune(wish, first, started, lambda *_: None, ends_halfway)
    then = Pruning(0.5, TEXTS / second)
    done = pruned(tiny_qwen2, target, then, started)
    assert bool(done.resumed_bytes) == (first == then)
    whole = pruned(tiny_qwen2, tmp_path / "whole.gguf", then, started)
    assert done.sha256 == whole.sha256


def test_convert_prunes_as_well(tiny_qwen2: Path, tmp_path: Path):
    target = tmp_path / "out.gguf"
    words = ["convert", str(tiny_qwen2), str(target), "--json", "--memory_budget", "2048"]
    done = CliRunner().invoke(app, [*words, "--prune", "0.50", "--prune_layers", "1"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["remarks"][-1].startswith("Pruning loses quality.")
    refused = CliRunner().invoke(app, [*words, "--force", "--text", "x.txt"])
    assert isinstance(refused.exception, WrongUsage)
