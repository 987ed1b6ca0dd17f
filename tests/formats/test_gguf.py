"""The header reader: what it says of sound files, and what it answers to all others."""

import os
import struct
import time
from pathlib import Path

import pytest

from deepseek_r1.core import errors
from deepseek_r1.core.paths import starter_model
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import CHATML, tiny_llama, tiny_qwen2
from support.hostile import CASES
from support.raw_gguf import ARRAY, STRING, U16, U32, RawGguf, array
from support.real_models import FILE_BYTES, r1_header


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> RawGguf:
    path = tiny_llama(tmp_path_factory.mktemp("sound") / "sound.gguf")
    return RawGguf.parse(path.read_bytes())


def test_a_small_model_is_described(tmp_path: Path) -> None:
    header = read_header(tiny_llama(tmp_path / "llama.gguf"))
    assert header.architecture == "llama"
    assert header.name == "Tiny llama"
    assert (header.blocks, header.embedding, header.feed_forward) == (2, 64, 128)
    assert (header.heads, header.heads_kv) == (4, 2)
    assert (header.key_length, header.value_length) == (16, 16)
    assert (header.context_trained, header.experts) == (512, 0)
    assert header.vocabulary == header.metadata["llama.vocab_size"]
    assert header.has_output
    assert header.template == CHATML
    assert header.tokenizer_model == "llama"
    assert header.quantisation == "F32"
    assert header.file_bytes == (tmp_path / "llama.gguf").stat().st_size
    assert sum(each.nbytes for each in header.tensors) < header.file_bytes
    assert header.parameters == sum(each.elements for each in header.tensors)


def test_a_byte_pair_model_is_described(tmp_path: Path) -> None:
    header = read_header(tiny_qwen2(tmp_path / "qwen2.gguf"))
    assert header.architecture == "qwen2"
    assert (header.tokenizer_model, header.tokenizer_pre) == ("gpt2", "qwen2")
    embedding = next(each for each in header.tensors if each.name == "token_embd.weight")
    assert embedding.shape == (64, header.vocabulary)
    assert embedding.type_name == "Q8_0"
    assert embedding.nbytes == header.vocabulary * 64 // 32 * 34


def test_long_lists_are_left_out_of_the_metadata(sound: RawGguf, tmp_path: Path) -> None:
    model = sound.copy().set("x.long", ARRAY, array(U32, list(range(5000))))
    header = read_header(model.write(tmp_path / "model.gguf"))
    assert "x.long" not in header.metadata
    assert len(header.metadata["tokenizer.ggml.token_type"]) == header.vocabulary  # type: ignore[arg-type]


def test_the_quantisation_is_guessed_where_the_key_is_missing(sound, tmp_path):
    model = sound.copy().drop("general.file_type")
    assert read_header(model.write(tmp_path / "model.gguf")).quantisation == "F32"


def test_the_file_name_stands_in_for_a_missing_name(sound: RawGguf, tmp_path: Path) -> None:
    model = sound.copy().drop("general.name")
    assert read_header(model.write(tmp_path / "My model.gguf")).name == "My model"


def test_per_layer_sizes_are_given_as_the_largest(sound: RawGguf, tmp_path: Path) -> None:
    model = sound.copy().set("llama.feed_forward_length", ARRAY, array(U32, [128, 128]))
    assert read_header(model.write(tmp_path / "model.gguf")).feed_forward == 128


@pytest.mark.quiet
def test_the_starter_model_is_read_in_a_moment() -> None:
    path = starter_model()
    assert path is not None, "the starter model is part of the installation"
    start = time.perf_counter()
    header = read_header(path)
    assert time.perf_counter() - start < 1.0
    assert (header.architecture, header.vocabulary) == ("llama", 49152)
    assert (header.quantisation, header.parameters) == ("Q4_1", 134_515_008)
    assert not header.has_output


def test_the_real_r1_header_alone_is_an_incomplete_file() -> None:
    path = r1_header()
    with pytest.raises(errors.ModelFileTruncated) as caught:
        read_header(path)
    assert caught.value.facts["needed_bytes"] == FILE_BYTES
    assert caught.value.facts["actual_bytes"] == path.stat().st_size


@pytest.mark.quiet
def test_the_real_r1_header_at_full_size_is_described_in_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "r1.gguf"
    path.write_bytes(r1_header().read_bytes())
    os.truncate(path, FILE_BYTES)
    start = time.perf_counter()
    header = read_header(path)
    assert time.perf_counter() - start < 1.0
    assert (header.architecture, header.blocks, header.vocabulary) == ("qwen2", 28, 152_064)
    assert (header.heads, header.heads_kv, header.key_length) == (28, 4, 128)
    assert header.quantisation == "Q4_K_M"
    assert header.template is not None
    assert "<｜Assistant｜>" in header.template


def test_what_is_no_file_is_refused_by_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "link.gguf").symlink_to(tmp_path / "gone.gguf")
    below = tiny_llama(tmp_path / "file.gguf") / "below a file.gguf"
    missing = [tmp_path / "not here.gguf", below, tmp_path / "link.gguf"]
    unreadable = [tmp_path, tmp_path / "a\0b.gguf"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.gguf")
        unreadable.append(tmp_path / "pipe.gguf")
    for path in missing:
        with pytest.raises(errors.ModelFileMissing):
            read_header(path)
    for path in unreadable:
        with pytest.raises(errors.ModelFileUnreadable):
            read_header(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_forbidden_file_is_not_readable(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "mine.gguf")
    path.chmod(0)
    with pytest.raises(errors.ModelFileUnreadable):
        read_header(path)


@pytest.mark.parametrize("name", ["模型 – 小.gguf", "🦙 model.gguf", "a b%20#c.gguf", "　.gguf"])
def test_any_name_opens(tmp_path: Path, name: str) -> None:
    assert read_header(tiny_llama(tmp_path / name)).path.name == name


def test_a_linked_file_opens(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "real.gguf")
    (tmp_path / "link.gguf").symlink_to(tmp_path / "real.gguf")
    assert read_header(tmp_path / "link.gguf").architecture == "llama"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_file_is_refused_by_name_and_at_once(case, sound, tmp_path):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(case.build(sound.copy()))
    start = time.thread_time()
    with pytest.raises(case.expected) as caught:
        read_header(path)
    assert type(caught.value) is case.expected
    assert time.thread_time() - start < 1.0
    assert "?" not in str(caught.value), "a fact of the message is missing"


@pytest.mark.slow
@pytest.mark.quiet
def test_the_longest_header_that_is_read_at_all_takes_seconds(sound, tmp_path):
    """The most texts that are counted, each of the length that makes the header the longest."""
    text = struct.pack("<Q", 12) + b"x" * 12
    lists = array(STRING, [], count=2_990_000) + text * 2_990_000
    model = sound.copy().set("x", ARRAY, lists)
    path = model.write(tmp_path / "model.gguf")
    start = time.perf_counter()
    assert read_header(path).architecture == "llama"
    assert time.perf_counter() - start < 5.0


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.parametrize(
    ("count", "size"),
    [(3_000_001, 8), (2_999_000, 40)],
    ids=["too many texts", "too long a header"],
)
def test_beyond_it_a_file_is_refused(sound: RawGguf, tmp_path: Path, count: int, size: int) -> None:
    head = sound.copy().set("x", ARRAY, array(STRING, [], count=count)).header()
    path = tmp_path / "model.gguf"
    text = struct.pack("<Q", size - 8) + bytes(size - 8)
    cut = head.index(struct.pack("<IQ", STRING, count)) + 12
    path.write_bytes(head[:cut] + text * count + head[cut:])
    start = time.perf_counter()
    with pytest.raises(errors.ModelFileDamaged):
        read_header(path)
    assert time.perf_counter() - start < 5.0


def cut(parts: list[Path], _sound: RawGguf) -> None:
    os.truncate(parts[2], parts[2].stat().st_size - 100)


def exchanged(parts: list[Path], _sound: RawGguf) -> None:
    second, third = parts[1].read_bytes(), parts[2].read_bytes()
    parts[1].write_bytes(third)
    parts[2].write_bytes(second)


def of_another_kind(parts: list[Path], _sound: RawGguf) -> None:
    parts[1].write_bytes(b"Dear model")


def a_whole_model(parts: list[Path], sound: RawGguf) -> None:
    sound.copy().write(parts[1])


def with_a_tensor_twice(parts: list[Path], sound: RawGguf) -> None:
    part = sound.copy()
    part.keys, part.tensors = [], part.tensors[:3]
    part.set("split.no", U16, 1).set("split.count", U16, 3).lay_out().write(parts[1])


def linked_out_of_the_folder(parts: list[Path], _sound: RawGguf) -> None:
    elsewhere = parts[1].parent / "elsewhere"
    elsewhere.mkdir()
    parts[1].symlink_to(parts[1].rename(elsewhere / parts[1].name))


SPOILT_PARTS = [
    cut, exchanged, of_another_kind, a_whole_model, with_a_tensor_twice, linked_out_of_the_folder,
]  # fmt: skip


class TestSplitModels:
    """`name-00001-of-00003.gguf`."""

    @pytest.fixture
    def parts(self, sound: RawGguf, tmp_path: Path) -> list[Path]:
        """A model in three files: the keys with one tensor, half of the rest, the other half."""
        paths = []
        for number, (start, end) in enumerate(((0, 1), (1, 10), (10, None))):
            part = sound.copy()
            if number:
                part.keys = []
            part.tensors = part.tensors[start:end]
            part.set("split.no", U16, number).set("split.count", U16, 3).lay_out()
            paths.append(part.write(tmp_path / f"tiny-{number + 1:05d}-of-00003.gguf"))
        return paths

    def test_any_part_stands_for_the_whole(self, parts: list[Path], sound: RawGguf) -> None:
        for chosen in parts:
            header = read_header(chosen)
            assert header.parts == tuple(parts)
            assert header.path == parts[0]
            assert len(header.tensors) == len(sound.tensors)
            assert header.file_bytes == sum(part.stat().st_size for part in parts)

    @pytest.mark.parametrize(("chosen", "missing"), [(0, 1), (2, 0)])
    def test_a_missing_part_is_named(self, parts: list[Path], chosen: int, missing: int) -> None:
        parts[missing].unlink()
        with pytest.raises(errors.SplitPartMissing) as caught:
            read_header(parts[chosen])
        assert caught.value.facts["missing"] == parts[missing].name
        assert caught.value.facts["count"] == 3

    @pytest.mark.parametrize("spoil", SPOILT_PARTS)
    def test_a_part_that_is_not_one_of_the_model_is_refused(self, parts, sound, spoil):
        spoil(parts, sound)
        with pytest.raises(errors.SplitPartMissing) as caught:
            read_header(parts[0])
        assert caught.value.facts["missing"] in {part.name for part in parts[1:]}

    def test_a_renamed_part_is_refused(self, parts: list[Path], tmp_path: Path) -> None:
        renamed = parts[0].rename(tmp_path / "first.gguf")
        with pytest.raises(errors.SplitPartMissing):
            read_header(renamed)

    def test_links_to_one_folder_are_fine(self, parts: list[Path], tmp_path: Path) -> None:
        """As the Hugging Face cache keeps its files."""
        cache = tmp_path / "snapshot"
        cache.mkdir()
        for part in parts:
            (cache / part.name).symlink_to(part)
        assert len(read_header(cache / parts[2].name).parts) == 3

    def test_more_parts_than_any_model_has_are_refused(self, sound, tmp_path):
        part = sound.copy().set("split.no", U16, 0).set("split.count", U16, 65535)
        with pytest.raises(errors.SplitPartMissing):
            read_header(part.write(tmp_path / "tiny-00001-of-65535.gguf"))
