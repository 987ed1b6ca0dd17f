"""A short run of `fuzz_gguf.py`, and what its judge must be able to see."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gguf_files import ALL
from support.judge import Judge, Verdict, judged_mutants

pytestmark = pytest.mark.native

COUNT = 2000


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Judge]:
    with Judge(tmp_path) as judge:
        yield judge


@pytest.mark.slow
def test_every_broken_file_gets_a_message_in_time(tmp_path: Path) -> None:
    verdicts: Counter[Verdict] = Counter()
    violations = []
    for judged in judged_mutants(tmp_path, seed=20, count=COUNT):
        verdicts[judged.verdict] += 1
        if judged.verdict is Verdict.VIOLATION:
            violations.append(judged)
    assert violations == []
    assert verdicts.total() == COUNT
    assert verdicts[Verdict.DIED] == 0
    assert verdicts[Verdict.REFUSED] > COUNT / 2
    assert verdicts[Verdict.ANSWERED] > COUNT / 20


def test_sound_files_are_loaded_and_answer(judge: Judge, tmp_path: Path) -> None:
    for make in ALL:
        judged = judge.judge("sound", make(tmp_path / "sound.gguf").read_bytes())
        assert judged.verdict is Verdict.ANSWERED, judged


def test_a_dead_engine_is_seen_and_replaced(judge: Judge, tmp_path: Path) -> None:
    data = ALL[0](tmp_path / "sound.gguf").read_bytes()
    assert judge.judge("sound", data).verdict is Verdict.ANSWERED
    os.kill(judge.pid, signal.SIGABRT)
    verdicts = [judge.judge("sound", data).verdict for _ in range(3)]
    assert verdicts[-1] is Verdict.ANSWERED


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    def run(name: str) -> list[bytes]:
        (tmp_path / name).mkdir()
        return [each.data for each in judged_mutants(tmp_path / name, seed=5, count=12)]

    assert run("one") == run("other")
