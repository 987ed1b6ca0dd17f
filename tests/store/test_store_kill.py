"""Processes that are killed, and two that want the same profile."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r1desk.store import MessageState, Profile, ProfileInUse, Store
from support.patience import PATIENCE_S

HERE = Path(__file__).parent
APP = HERE.parents[1] / "app"
ROUNDS = int(os.environ.get("R1_KILL_ROUNDS", "20"))


def start(script: str, argument: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / script), str(argument)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(APP)},
    )


@pytest.mark.slow
def test_nothing_committed_is_lost_when_the_writer_is_killed(database: Path) -> None:
    chance = random.Random(7)
    said: dict[int, str] = {}
    for _ in range(ROUNDS):
        with start("store_writer.py", database) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline()]
            time.sleep(chance.uniform(0.0, 0.12))
            writer.kill()
            lines += writer.stdout.readlines()
        progress: dict[int, int] = {}
        for line in lines:
            kind, key, text = line.rstrip("\n").split(" ", 2)
            if kind == "said":
                said[int(key)] = text
            else:
                progress[int(key)] = int(text)
        with Store(database) as store:
            assert store.opening.set_aside is None
            assert store._db.execute("PRAGMA integrity_check") == [("ok",)]
            assert len(store.opening.recovered) <= 1
            for key in store.opening.recovered:
                tail = store.messages.get(key)
                assert tail.state is MessageState.STOPPED
                assert len(tail.content) >= progress.get(key, 0)
            for key, text in said.items():
                assert store.messages.get(key).content == text
    assert len(said) > ROUNDS


def test_a_second_window_is_told_and_a_killed_one_does_not_block(tmp_path: Path) -> None:
    folder = tmp_path / "profile"
    with start("store_holder.py", folder) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with start("store_holder.py", folder) as second:
            assert second.communicate(timeout=PATIENCE_S)[0] == "in use\n"
        with pytest.raises(ProfileInUse):
            Profile.open(folder)
        first.kill()
    with Profile.open(folder) as profile:
        assert profile.database.parent == folder
        with pytest.raises(ProfileInUse):
            Profile.open(folder)
    Profile.open(folder).close()


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")
def test_profile_and_database_are_private_to_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "profile"
    folder.mkdir(mode=0o755)
    with Profile.open(folder) as profile, Store(profile.database) as store:
        store.conversations.save_draft(None, "x")
        modes = {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes["conversations.db"] == modes["conversations.db-wal"] == 0o600
