"""Fewer channels and blocks: an ordinary smaller file that says what was removed."""

import json
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from click.testing import CliRunner

from deepseek_r1.cli.app import app
from deepseek_r1.convert.job import ConversionRequest, ConversionStage
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.lab.errors import PruningRefused
from deepseek_r1.lab.prune_model import (
    kept_channels,
    least_turning,
    most_important,
    prune,
    require_removable,
)
from lab.conftest import TEXTS, converted
from support.budgets import ROOMY_MIB

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="session")
def short_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One window of the starter model's tokens."""
    text = tmp_path_factory.mktemp("texts") / "short.txt"
    text.write_text((TEXTS / "calibration.txt").read_text(encoding="utf-8")[:2600], "utf-8")
    return text


def pruned(source, target, text, share, blocks=0, on_progress=lambda *_: None):
    wish = ConversionRequest(source, target, precision_named("int8"), ROOMY_MIB, threads=2)
    return prune(wish, text, share, blocks, on_text=lambda *_: None, on_progress=on_progress)


def test_a_pruned_model_is_smaller_says_so_and_opens_in_plain_llama_cpp(
    shallow_starter: Path, short_text: Path, tmp_path: Path
):
    done = pruned(shallow_starter, tmp_path / "pruned.gguf", short_text, 0.3, blocks=2)
    header = read_header(done.path)
    assert (header.feed_forward, header.blocks) == (1088, 1)
    assert header.metadata["general.description"] == (
        "Lossy: 29 % of the feed-forward channels and 2 of 3 blocks were removed."
    )
    model = llama_cpp.Llama(str(done.path), n_ctx=64, n_threads=2, verbose=False)
    answer = model("The capital of France is", max_tokens=4, temperature=0.0)
    model.close()
    assert answer["usage"]["completion_tokens"] == 4


def test_the_channels_need_not_be_touched_to_remove_blocks(tiny_qwen2: Path, tmp_path: Path):
    done = pruned(tiny_qwen2, tmp_path / "short.gguf", TEXTS / "calibration.txt", 0.0, blocks=1)
    header = read_header(done.path)
    assert header.feed_forward == read_header(tiny_qwen2).feed_forward
    assert "channels" not in str(header.metadata["general.description"])


def test_the_blocks_that_turn_the_stream_least_go_and_the_first_stays():
    turns = np.array([np.nan, 0.3, 0.01, 0.2, 0.02, 0.5], np.float32)
    assert least_turning(turns, 2) == [2, 4]
    with pytest.raises(PruningRefused):
        least_turning(np.array([np.nan, np.nan], np.float32), 1)


def test_the_channels_that_contribute_least_go():
    lengths = np.array([1.0, 9.0, 3.0], np.float32)
    squares = np.array([100.0, 0.01, 4.0], np.float32)  # contributions 10, 0.9, 6
    assert most_important(lengths, squares, 2).tolist() == [0, 2]


def test_a_mixture_and_the_first_block_are_refused(tiny_qwen2: Path, tmp_path: Path):
    folder = Path(__file__).parents[1] / "convert" / "reference" / "deepseek_v2"
    header = read_header(converted(folder, tmp_path / "mixture.gguf", "f32"))
    with pytest.raises(PruningRefused):
        kept_channels(header, 0.3)
    for each, blocks in ((header, 1), (dense := read_header(tiny_qwen2), dense.blocks)):
        with pytest.raises(PruningRefused):
            require_removable(each, blocks)


@pytest.mark.parametrize("second", ["calibration.txt", "evaluation.txt"])
def test_a_run_that_was_ended_goes_on_only_with_the_same_text(tiny_qwen2, tmp_path, second):
    def ends_halfway(stage: ConversionStage, done: int, total: int) -> None:
        if stage is ConversionStage.WRITING and done > total / 2:
            raise KeyboardInterrupt

    target = tmp_path / "out.gguf"
    first, then = TEXTS / "calibration.txt", TEXTS / second
    with pytest.raises(KeyboardInterrupt):
        pruned(tiny_qwen2, target, first, 0.5, on_progress=ends_halfway)
    done = pruned(tiny_qwen2, target, then, 0.5)
    assert bool(done.resumed_bytes) == (first == then)
    whole = pruned(tiny_qwen2, tmp_path / "whole.gguf", then, 0.5)
    assert done.sha256 == whole.sha256


def test_convert_prunes_as_well(tiny_qwen2: Path, tmp_path: Path):
    target = tmp_path / "out.gguf"
    words = ["convert", str(tiny_qwen2), str(target), "--json", "--memory_budget", "2048"]
    done = CliRunner().invoke(app, [*words, "--prune", "0.50", "--prune_layers", "1"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["remarks"][-1].startswith("Pruning loses quality.")
    refused = CliRunner().invoke(app, [*words, "--force", "--text", "x.txt"])
    assert isinstance(refused.exception, WrongUsage)
