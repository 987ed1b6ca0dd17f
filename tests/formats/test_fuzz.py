"""What the checker of broken model files must notice; `hostile/campaign.py` hunts with it."""

import os
import signal
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from support.file_verdicts import FileChecker, Verdict, checked_mutants
from support.gguf_files import ALL, tiny_bert

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def checker(tmp_path: Path) -> Iterator[FileChecker]:
    with FileChecker(tmp_path) as checker:
        yield checker


def test_sound_files_are_loaded_and_answer(checker: FileChecker, tmp_path: Path) -> None:
    for make in ALL:
        checked = checker.check("sound", make(tmp_path / "sound.gguf").read_bytes())
        assert checked.verdict is Verdict.ANSWERED, checked
    data = tiny_bert(tmp_path / "sound.gguf").read_bytes()
    assert checker.check("sound", data, embedding=True).verdict is Verdict.ANSWERED


def test_a_dead_engine_is_seen_and_replaced(checker: FileChecker, tmp_path: Path) -> None:
    data = ALL[0](tmp_path / "sound.gguf").read_bytes()
    assert checker.check("sound", data).verdict is Verdict.ANSWERED
    os.kill(checker.pid, signal.SIGABRT)
    verdicts = [checker.check("sound", data).verdict for _ in range(3)]
    assert verdicts[-1] is Verdict.ANSWERED


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    def run(name: str) -> list[bytes]:
        (tmp_path / name).mkdir()
        return [each.data for each in islice(checked_mutants(tmp_path / name, seed=5), 12)]

    assert run("one") == run("other")
