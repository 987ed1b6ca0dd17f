"""What a foreign folder can contain: each is refused with a message, nothing of it is run."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert.conftest import split_header, write_safetensors
from deepseek_r1.convert.errors import (
    ConversionRefused,
    FamilyUnknown,
    FeatureUnknown,
    NumbersUnfit,
    SourceDamaged,
    SourceIsPickle,
    SourceMissing,
    TensorMissing,
    TokenizerUnknown,
)
from deepseek_r1.convert.hf.folder_source import MAX_FILES
from deepseek_r1.convert.hf.tensor_files import read_tensor_table

pytestmark = pytest.mark.integration


def change_json(path: Path, change: Callable[[dict], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt"])
def test_pickles_are_refused_with_the_reason(folder: Path, to_gguf, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(SourceIsPickle, match="runs whatever program"):
        to_gguf(folder)


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["pytorch_model.bin"], "runs whatever program"),
        (["../x.safetensors"], "it names the file"),
        (["/etc/x.safetensors"], "it names the file"),
        (["a/b.safetensors"], "it names the file"),
        (["a\\b.safetensors"], "it names the file"),
        ([".."], "it names the file"),
        ([f"{n}.safetensors" for n in range(MAX_FILES + 1)], "it names 1001 files"),
    ],
    ids=["pickle", "above", "absolute", "below", "backslash", "parent", "too many"],
)
def test_an_index_names_a_few_files_of_the_folder(folder, to_gguf, names, error):
    weights = {f"t{n}": name for n, name in enumerate(names)}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weights}))
    with pytest.raises(SourceIsPickle if "program" in error else SourceDamaged, match=error):
        to_gguf(folder)


def test_a_link_cannot_lead_out_of_the_folder(folder: Path, to_gguf, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    (folder / "model.safetensors").rename(outside)
    (folder / "model.safetensors").symlink_to(outside)
    with pytest.raises(SourceDamaged, match="link"):
        to_gguf(folder)


def test_the_links_of_the_hubs_cache_are_followed(folder: Path, to_gguf, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for each in folder.iterdir():
        each.rename(blobs / each.name)
        (snapshot / each.name).symlink_to(os.path.relpath(blobs / each.name, snapshot))
    assert to_gguf(snapshot).architecture == "qwen2"


def test_a_folder_without_a_model_is_refused(tmp_path: Path, to_gguf) -> None:
    with pytest.raises(SourceMissing, match=r"config\.json"):
        to_gguf(tmp_path)
    with pytest.raises(SourceMissing):
        to_gguf(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("error", "key", "value"),
    [
        (FamilyUnknown, "architectures", ["GemmaForCausalLM"]),
        (FeatureUnknown, "hidden_act", "gelu"),
        (FeatureUnknown, "use_sliding_window", True),
        (
            FeatureUnknown,
            "rope_parameters",
            {"rope_type": "longrope", "rope_theta": 1e4, "factor": 2.0},
        ),
        (FeatureUnknown, "rope_parameters", {"rope_type": "llama3", "factor": 8.0}),
        (FeatureUnknown, "partial_rotary_factor", 0.5),
        (SourceDamaged, "hidden_size", -1),
        (SourceDamaged, "hidden_size", "32"),
        (SourceDamaged, "hidden_size", 2**70),
        (SourceDamaged, "num_hidden_layers", 10**6),
        (SourceDamaged, "num_key_value_heads", 3),
        (SourceDamaged, "vocab_size", True),
        (SourceDamaged, "rms_norm_eps", "x"),
        (SourceDamaged, "rope_parameters", 7),
        (SourceDamaged, "max_position_embeddings", None),
    ],
)
def test_a_config_that_is_unknown_or_makes_no_sense_is_refused(folder, to_gguf, error, key, value):
    change_json(folder / "config.json", lambda c: c.update({key: value}))
    with pytest.raises(error) as refused:
        to_gguf(folder)
    assert key != "architectures" or "GemmaForCausalLM" in str(refused.value)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_files_that_are_no_json_objects_are_refused(folder: Path, to_gguf, raw: bytes) -> None:
    (folder / "config.json").write_bytes(raw)
    with pytest.raises(SourceDamaged):
        to_gguf(folder)


def test_deeply_nested_json_is_refused(folder: Path, to_gguf) -> None:
    raw = b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"
    (folder / "tokenizer_config.json").write_bytes(raw)
    with pytest.raises(SourceDamaged, match="nested"):
        to_gguf(folder)


def with_another_pattern(tokenizer: dict) -> None:
    pattern = tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]
    pattern["Regex"] = pattern["Regex"].replace(r"|\p{N}|", r"|\p{N}{1,2}|")


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda t: t.update(pre_tokenizer={"type": "Metaspace", "replacement": "▁"}), "Metaspace"),
        (with_another_pattern, "Split"),
    ],
)
def test_an_unknown_pretokeniser_is_shown(folder: Path, to_gguf, change, shown: str) -> None:
    change_json(folder / "tokenizer.json", change)
    with pytest.raises(TokenizerUnknown, match=shown):
        to_gguf(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["model"].update(type="Unigram"),
        lambda t: t["model"].update(byte_fallback=True),
        lambda t: t["model"].update(merges=["a"]),
        lambda t: t["model"].update(merges=[["a", "b", "c"]]),
        lambda t: t["model"].update(vocab={"a": 10**9}),
        lambda t: t["model"].update(vocab={"a": 1, "b": 1}),
        lambda t: t["model"].update(vocab={"a": "1"}),
        lambda t: t.update(added_tokens=[{"id": 0}]),
        lambda t: t.update(added_tokens={"a": 0}),
        lambda t: t.update(model=None),
    ],
)
def test_a_damaged_tokenizer_is_refused(folder: Path, to_gguf, change) -> None:
    change_json(folder / "tokenizer.json", change)
    with pytest.raises(ConversionRefused):
        to_gguf(folder)


def without_norm(header: dict, _end: int) -> None:
    header["model.other.weight"] = header.pop("model.norm.weight")


def with_one_more(header: dict, end: int) -> None:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]}
    header["model.layers.0.extra.weight"] = entry


def of_another_shape(header: dict, _end: int) -> None:
    entry = header["model.embed_tokens.weight"]
    entry["shape"] = [entry["shape"][0] * 2, entry["shape"][1] // 2]


@pytest.mark.parametrize(
    ("change", "more", "error", "shown"),
    [
        (without_norm, 0, TensorMissing, r"model\.norm\.weight"),
        (with_one_more, 4, FeatureUnknown, "extra"),
        (of_another_shape, 0, TensorMissing, "should be"),
    ],
)
def test_weights_that_are_not_the_models_are_named(folder, to_gguf, change, more, error, shown):
    header, data = split_header(folder / "model.safetensors")
    change(header, len(data))
    write_safetensors(folder / "model.safetensors", header, data + bytes(more))
    with pytest.raises(error, match=shown):
        to_gguf(folder)


@pytest.mark.parametrize(
    ("bits", "precision", "shown"),
    [
        (b"\x80\x7f", "int8", r"blk\.0\.attn_q\.weight"),
        (b"\xc0\x7f", "int8", r"blk\.0\.attn_q\.weight"),
        (b"\x00\x48", "f16", "131072"),
    ],
    ids=["infinity", "no number", "too large for f16"],
)
def test_numbers_that_cannot_be_stored_are_refused(folder, to_gguf, bits, precision, shown):
    path = folder / "model.safetensors"
    header, data = split_header(path)
    start = header["model.layers.0.self_attn.q_proj.weight"]["data_offsets"][0]
    write_safetensors(path, header, data[:start] + bits + data[start + 2 :])
    with pytest.raises(NumbersUnfit, match=shown):
        to_gguf(folder, precision)
    if precision == "f16":
        assert to_gguf(folder, "bf16").tensors > 0


def entry_with(**changes: object) -> dict:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"a": entry_with(shape=[3])}, bytes(8)),
        ({"a": entry_with(shape=[-2])}, bytes(8)),
        ({"a": entry_with(shape=[2.0])}, bytes(8)),
        ({"a": entry_with(shape=[True, 2])}, bytes(8)),
        ({"a": entry_with(shape=[2**62, 4])}, bytes(8)),
        ({"a": entry_with(shape=[1] * 9 + [2])}, bytes(8)),
        ({"a": entry_with(dtype="F99")}, bytes(8)),
        ({"a": entry_with(dtype=None)}, bytes(8)),
        ({"a": entry_with(data_offsets=[0, 16])}, bytes(8)),
        ({"a": entry_with(data_offsets=[8, 0])}, bytes(8)),
        ({"a": entry_with(data_offsets=[8, 16])}, bytes(16)),
        ({"a": entry_with(), "b": entry_with()}, bytes(8)),
        ({"a": entry_with(), "b": entry_with(data_offsets=[4, 12])}, bytes(12)),
        ({"a": entry_with()}, bytes(9)),
        ({"a": entry_with()}, bytes(7)),
        ({"a": []}, b""),
        ({"\n": entry_with()}, bytes(8)),
    ],
)
def test_a_tensor_table_that_does_not_fit_its_file_is_refused(tmp_path, header, data):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, header, data)
    with pytest.raises(SourceDamaged):
        read_tensor_table(path)


@pytest.mark.parametrize("length", [0, 1, 10**8 + 1, 2**63, 2**64 - 1])
def test_a_header_of_impossible_length_is_not_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}" + bytes(100))
    with pytest.raises(SourceDamaged, match="header"):
        read_tensor_table(path)


@given(data=st.data())
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_damage_to_a_header_ends_in_a_message(folder: Path, data: st.DataObject) -> None:
    path = folder / "model.safetensors"
    original = bytearray((folder.parent / "qwen2" / "model.safetensors").read_bytes())
    length = int.from_bytes(original[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 8 + length - 1))
        original[at] = data.draw(st.integers(0, 255))
    damaged = path.with_name("damaged.safetensors")
    damaged.write_bytes(original)
    try:
        tensors = read_tensor_table(damaged)
    except ConversionRefused:
        return
    assert all(each.offset + each.nbytes <= len(original) for each in tensors)
