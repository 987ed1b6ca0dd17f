"""Campaigns: every hunter finds its cases, and what breaks a promise is noticed and kept."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.campaign import file_hunters
from bench.campaign.campaign import Campaign, Case
from bench.campaign.file_hunters import FILE_HUNTERS, open_old_file
from bench.campaign.process_hunters import PROCESS_HUNTERS
from bench.campaign.reading_hunters import READING_HUNTERS
from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineDied, R1Error
from deepseek_r1.legacy import ggml_file
from support.ggml_files import FAMILIES

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]
SEED = 20261129
MINUTES = 2.0
# What each hunter has to see, so that it tries what is nearly sound and what is not.
SEEN = {
    "model files": {"refused by the header's check", "loaded, and a token generated"},
    "old files": {"answered"},
    "templates": {"rendered", "refused"},
    "prompt caches": {"the same answer"},
    "imports": {"imported", "refused"},
}


@pytest.mark.quiet
def test_two_minutes_of_all_hunters_break_no_promise(tmp_path: Path) -> None:
    hunters = {**FILE_HUNTERS, **PROCESS_HUNTERS, **READING_HUNTERS}
    campaign = Campaign(hunters, SEED, tmp_path / "kept")
    campaign.run(MINUTES * 60)
    assert [bad for found in campaign.found.values() for bad in found.bad] == []
    for name, found in campaign.found.items():
        assert found.verdicts, name
        assert SEEN.get(name, set()) <= set(found.verdicts), campaign.table()


def test_what_breaks_a_promise_is_kept_in_the_folder_that_is_named(tmp_path: Path) -> None:
    def breaking(seed: int, _folder: Path) -> Iterator[Case]:
        yield Case("fine")
        yield Case("answered", "it took too long", b"the file", ".gguf")
        raise ValueError(seed)

    campaign = Campaign({"planted": breaking}, 7, tmp_path)
    campaign.run(60.0)
    kept, failed = campaign.found["planted"].bad
    assert kept == f"planted, case 2: it took too long ({tmp_path}/planted-2.gguf)"
    assert (tmp_path / "planted-2.gguf").read_bytes() == b"the file"
    assert "ValueError: 7" in (tmp_path / "planted-3.txt").read_text()
    assert "the hunter itself failed" in failed


def _with_rotation(path: Path, family: str, rotation: int) -> bytes:
    """A sound file of the family, but for its `n_rot`."""
    raw = bytearray(FAMILIES[family](path).read_bytes())
    raw[4 + 4 * 5 : 4 + 4 * 6] = rotation.to_bytes(4, "little")
    return bytes(raw)


def test_a_file_that_ends_the_engine_leaves_the_caller_an_error(tmp_path: Path) -> None:
    path = FAMILIES["falcon"](tmp_path / "falcon.bin")
    with CPUInference(path, context_length=256, thread_count=1) as model:
        engine = model._require_engine()
        psutil.Process(engine._model.process_id).kill()  # as a crash of native code would
        with pytest.raises(EngineDied):
            model.generate("hello", 2)
        with pytest.raises(R1Error):
            model.generate("hello", 2)


def test_an_old_file_that_ends_the_engine_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "model.bin"
    path.write_bytes(_with_rotation(path, "gptneox", 0))
    monkeypatch.setitem(ggml_file._RANGES, "n_rot", (0, ggml_file.MAX_WIDTH))  # the bound is gone
    verdict, bad = open_old_file(path)
    assert verdict == "EngineDied SIGFPE"
    assert bad


def test_memory_beyond_the_bill_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_hunters, "LEGACY_PROCESS_MIB", 8.0)
    verdict, bad = open_old_file(FAMILIES["gpt2"](tmp_path / "model.bin"))
    assert verdict == "answered"
    assert bad.endswith("MiB")


@pytest.mark.parametrize("family", ["gptj", "gptneox"])
@pytest.mark.parametrize("rotation", [0, 4096])  # by which the engine divides; wider than a head
def test_an_impossible_rotation_is_refused_by_the_header(tmp_path, family, rotation):
    path = tmp_path / "model.bin"
    path.write_bytes(_with_rotation(path, family, rotation))
    with pytest.raises(R1Error):
        CPUInference(path, context_length=256)
