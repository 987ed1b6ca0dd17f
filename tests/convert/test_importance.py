"""A text read by the model itself steers where the few bits go."""

from functools import partial
from pathlib import Path

import pytest

from convert.conftest import weight_bytes
from deepseek_r1.formats.gguf import read_header
from support import command

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TEXT = "The bridge was built of stone. People cross it every day, in the sun and in the rain. " * 40


run = partial(command.run, "convert")


def test_a_text_changes_the_packing_and_is_named_in_the_file(shallow_starter, tmp_path, to_gguf):
    text = tmp_path / "calibration.txt"
    text.write_text(TEXT, encoding="utf-8")
    steered = tmp_path / "steered.gguf"
    done = run(shallow_starter, steered, "-p", "q4_0", "--imatrix-text", text)
    assert done.returncode == 0, done.stderr
    plain = to_gguf(shallow_starter, "q4_0").path
    for name in ("blk.0.ffn_down.weight", "blk.2.attn_q.weight", "token_embd.weight"):
        assert weight_bytes(steered, name) != weight_bytes(plain, name)
    header = read_header(steered)
    assert header.metadata["quantize.imatrix.dataset"] == "calibration.txt"
    # Seven matrices a block, and the embedding, which is the output too.
    assert header.metadata["quantize.imatrix.entries_count"] == 7 * header.blocks + 1


def test_a_folder_is_to_be_converted_first(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "calibration.txt"
    text.write_text(TEXT, encoding="utf-8")
    done = run(folder, tmp_path / "out.gguf", "--imatrix-text", text)
    assert done.returncode == 2
    assert "Convert it to f16 first" in done.stderr
