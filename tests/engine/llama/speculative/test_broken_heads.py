"""A head that contradicts itself is refused; one that was not refused computes something."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.llama.speculative.draft_length import LengthRule
from deepseek_r1.engine.llama.speculative.row_curve import RowCurve
from deepseek_r1.engine.llama.speculative.vocabulary_map import compared_vocabularies
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.draft_choice import draft_header
from support.eagle_heads import attached, make_head
from support.gguf_files import tiny_llama
from support.raw_gguf import RawGguf
from support.streaming import Bench, loaded

pytestmark = pytest.mark.integration

COUNT = 150
FREE = LengthRule(RowCurve({1: 1e3, 16: 1e3}))
KINDS = (0, 1, 2, 8, 10, 12, 26, 27, 30)  # of ggml's tensor types
BYTES = (0, 1, 2, 3, 4, 8, 16, 32, 64, 127, 128, 255)


def break_key(file: RawGguf, chance: random.Random) -> None:
    """Change a byte of a key that is not the vocabulary's, or drop it."""
    key = chance.choice([each for each in file.keys if not each.name.startswith(b"tokenizer")])
    if chance.random() < 0.2:
        file.keys.remove(key)
        return
    data = bytearray(key.data)
    data[chance.randrange(len(data))] = chance.choice(BYTES)
    key.data = bytes(data)


def break_tensor(file: RawGguf, chance: random.Random) -> None:
    """Change a tensor's shape, its type or its first numbers, or drop it."""
    tensor = chance.choice(file.tensors)
    what = chance.randrange(4)
    if what == 0:
        changes = (-1, 1, 0)
        tensor.shape = [max(1, size + chance.choice((*changes, size))) for size in tensor.shape]
    elif what == 1:
        tensor.kind = chance.choice(KINDS)
    elif what == 2:
        tensor.data = chance.randbytes(min(64, len(tensor.data))) + tensor.data[64:]
    else:
        file.tensors.remove(tensor)
        file.lay_out()


def drafts(bench: Bench, head_file: Path) -> None:
    """Draft with a head, after a prompt that its slots cannot hold."""
    head = attached(bench, head_file)
    bench.context.clear()
    head.begin([], reproducible=False)
    bench.context.compute(list(range(40, 56)))
    bench.context.compute(list(range(60, 70)))
    head.observe([77])
    head.propose(FREE, 6)
    head.close()


def test_a_broken_head_is_refused_before_native_code_sees_it(tmp_path: Path) -> None:
    """An assertion in llama.cpp would end this process."""
    chance = random.Random(11)
    target = tiny_llama(tmp_path / "target.gguf")
    header = read_header(target)
    sound = RawGguf.parse(
        make_head(tmp_path / "sound.gguf", target, table=list(range(30, 70))).read_bytes()
    )
    path, refused = tmp_path / "broken.gguf", 0
    with loaded(target, None, draft_tokens=15) as bench:
        for _ in range(COUNT):
            file = sound.copy()
            for _ in range(chance.choice((1, 1, 2))):
                chance.choice((break_key, break_tensor))(file, chance)
            file.write(path)
            try:
                found = draft_header(LoadSettings(draft_model=str(path)), header)
                compared_vocabularies(header, found)
            except ModelRefused:
                refused += 1
                continue
            drafts(bench, path)
    assert COUNT / 3 < refused < COUNT
