"""Model files that a stranger may have made, through the engine's process and the command line."""

import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.errors import ModelFileDamaged, R1Error, TemplateUnusable
from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient
from support.command import run
from support.gguf_files import tiny_llama
from support.hostile import CASES
from support.hostile_templates import SHARED_LISTS
from support.raw_gguf import ARRAY, I32, STRING, RawGguf, RawTensor, array

pytestmark = pytest.mark.integration

SETTINGS = LoadSettings(context_length=512)
ENDLESS_TEMPLATE = SHARED_LISTS + "{{ ns.a == ns.b }}"


@pytest.fixture(scope="module")
def sound(shallow_starter: Path) -> RawGguf:
    return RawGguf.parse(shallow_starter.read_bytes())


@pytest.fixture
def client() -> Iterator[EngineClient]:
    with EngineClient() as made:
        yield made


def test_no_hostile_file_ends_the_process_that_loads_it(tmp_path, client):
    sound = RawGguf.parse(tiny_llama(tmp_path / "sound.gguf").read_bytes())
    path, processes = tmp_path / "hostile.gguf", set()
    for case in CASES:
        path.write_bytes(case.build(sound.copy()))
        with pytest.raises(case.expected):
            client.load(path, SETTINGS)
        processes.add(client.pid)
    assert len(processes) == 1


def refuse_soon(client: EngineClient, path: Path, error: type[R1Error]) -> None:
    began = time.monotonic()
    with pytest.raises(error):
        client.load(path, SETTINGS)
    assert time.monotonic() - began < 8.0


def with_key(sound: RawGguf, path: Path, key: str, text: str) -> Path:
    return sound.copy().set(key, STRING, text).write(path)


@pytest.mark.slow
def test_a_template_that_does_not_end_is_refused_by_the_command_line(sound, tmp_path):
    path = with_key(sound, tmp_path / "m.gguf", "tokenizer.chat_template", ENDLESS_TEMPLATE)
    done = run("generate", "hi", "-m", path)
    assert done.returncode == 3
    assert "chat template cannot be used" in done.stderr
    assert "too long" in done.stderr


@pytest.mark.slow
@pytest.mark.quiet
def test_a_template_that_does_not_end_leaves_the_engine_and_its_model(
    sound: RawGguf, starter: Path, tmp_path: Path, client: EngineClient
) -> None:
    path = with_key(sound, tmp_path / "m.gguf", "tokenizer.chat_template", ENDLESS_TEMPLATE)
    client.load(starter, SETTINGS)
    pid = client.pid
    refuse_soon(client, path, TemplateUnusable)
    *_, last = client.generate("Hello", SamplingSettings(max_tokens=2))
    assert isinstance(last, GenerationFinished)
    assert client.pid == pid


@pytest.mark.parametrize("name", ["n" * 2_000_000, "\x01" * 300_000, "\x1b]0;title\x07\x1b[2J"])
def test_a_model_with_a_monstrous_name_is_read(sound: RawGguf, tmp_path: Path, name: str) -> None:
    path = with_key(sound, tmp_path / "m.gguf", "general.name", name)
    with HeaderProcess() as process:
        shown = process.read_header(path).name
    assert 0 < len(shown) <= 120
    assert shown.isprintable()


def _many_merges(sound: RawGguf) -> None:
    merges: list[object] = [b"%x %x" % (number, number) for number in range(1_000_000)]
    sound.set("tokenizer.ggml.merges", ARRAY, array(STRING, merges))


def _long_merges(sound: RawGguf) -> None:
    merges: list[object] = [b"%024x %024x" % (number, number) for number in range(200_000)]
    sound.set("tokenizer.ggml.merges", ARRAY, array(STRING, merges))


def _special_tokens_only(sound: RawGguf) -> None:
    (count,) = struct.unpack_from("<Q", sound.key("tokenizer.ggml.tokens").data, 4)
    sound.set("tokenizer.ggml.token_type", ARRAY, array(I32, [3] * count))


@pytest.mark.slow
@pytest.mark.parametrize("change", [_many_merges, _long_merges, _special_tokens_only])
def test_the_bill_of_an_odd_vocabulary_holds(starter, tmp_path, client, change):
    odd = RawGguf.parse(starter.read_bytes())
    change(odd)
    bill = client.load(odd.write(tmp_path / "m.gguf"), SETTINGS).bill
    *_, last = client.generate("Hello", SamplingSettings(max_tokens=2, temperature=0))
    assert isinstance(last, GenerationFinished)
    assert last.stats.peak_mib < bill.total_mib


def test_a_template_without_any_text_is_a_refusal_of_the_file(sound, tmp_path):
    path = with_key(sound, tmp_path / "m.gguf", "tokenizer.chat_template", "{% if 0 %}x{% endif %}")
    done = run("generate", "hi", "-m", path)
    assert done.returncode == 3
    assert ModelFileDamaged.__name__ not in done.stderr
    assert "empty prompt" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_file_whose_name_is_not_utf_8_is_opened(shallow_starter: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode("模型.gguf".encode("gbk"))
    path.write_bytes(shallow_starter.read_bytes())
    done = run("generate", "hi", "-m", path, "--max-tokens", "2")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_loaded_model_states_its_path_though_it_is_not_utf_8(tmp_path, client):
    path = tiny_llama(tmp_path / os.fsdecode("模型.gguf".encode("gbk")))
    assert client.load(path, SETTINGS).facts.path == str(path)


@pytest.mark.slow
@pytest.mark.quiet
def test_a_file_of_thousands_of_tensors_is_refused_at_once(sound, tmp_path, client):
    crowded = sound.copy()
    crowded.tensors += [RawTensor(b"x%d" % each, [32], 0, 0, bytes(128)) for each in range(60_000)]
    refuse_soon(client, crowded.lay_out().write(tmp_path / "m.gguf"), ModelFileDamaged)
