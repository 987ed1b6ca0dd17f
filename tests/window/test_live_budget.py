"""The budget's slider during an answer, through the real window and the real engine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from r1desk.desk import Desk
from r1desk.preferences import Preferences
from support.r1_shaped import r1_shaped
from window.desk_fixture import ANSWER_WAIT_MS, ask, running_desk, wait_answered, wait_ready

pytestmark = [pytest.mark.native, pytest.mark.slow]

BEFORE_MIB, AFTER_MIB = 1280, 768
UNDER_WITHIN_S = 2.0
ANSWER_TOKENS = 240  # 6 s where a token takes 25 ms: time enough to move a slider and look


def move_slider(desk: Desk, mib: int) -> None:
    """To the step of `mib`, as a drag does."""
    row = desk.window.panel.load.rows["memory_budget"]
    row.slider.setValue(row._nearest(mib))
    assert row.value == mib


def shown_total(desk: Desk) -> str:
    return desk.window.panel.bill.total.text()


def answer(desk: Desk) -> str:
    return desk.chat.shown_branch[-1].content


def test_a_smaller_budget_during_an_answer(
    qtbot: QtBot, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = r1_shaped(tmp_path_factory)

    def adapt(stored: Preferences) -> None:
        stored.model_path = str(model)
        stored.sampling = SamplingSettings(temperature=0.0, max_tokens=ANSWER_TOKENS)
        stored.load = LoadSettings(
            memory_budget=BEFORE_MIB, context_length=1024, micro_batch=64, threads=2,
            swap_enabled=True,
        )  # fmt: skip

    with running_desk(qtbot, tmp_path / "profile", adapt) as desk:
        wait_ready(qtbot, desk)
        assert desk.models.current.bill.streams
        ask(qtbot, desk, "Tell me about the sea.")
        wait_answered(qtbot, desk)
        calm = answer(desk)
        desk.chat.new_chat()
        ask(qtbot, desk, "Tell me about the sea.")
        qtbot.waitUntil(
            lambda: desk.chat.answer is not None and len(desk.chat.answer.content) > 20,
            timeout=ANSWER_WAIT_MS,
        )
        gauge = desk.window.gauge
        before = gauge.vitals.app_mib
        move_slider(desk, AFTER_MIB)
        qtbot.waitUntil(lambda: desk.models.current.bill.budget_mib == AFTER_MIB, timeout=2000)
        began = time.monotonic()
        qtbot.waitUntil(lambda: gauge.vitals.app_mib < AFTER_MIB, timeout=10_000)
        took_s = time.monotonic() - began
        assert desk.chat.busy, "the answer had ended before"
        assert gauge.vitals.budget_mib == AFTER_MIB
        wait_answered_already_asked(qtbot, desk)
        assert answer(desk) == calm
        assert before > AFTER_MIB + 100
        print(f"gauge: {before:.0f} to {gauge.vitals.app_mib:.0f} MiB, under after {took_s:.2f} s")
        assert took_s <= UNDER_WITHIN_S
        assert f"of {AFTER_MIB}" in shown_total(desk)
        moves_at_rest(qtbot, desk)


def wait_answered_already_asked(qtbot: QtBot, desk: Desk) -> None:
    qtbot.waitUntil(
        lambda: not desk.chat.busy and desk.chat.shown_branch[-1].state != "streaming",
        timeout=ANSWER_WAIT_MS,
    )


def moves_at_rest(qtbot: QtBot, desk: Desk) -> None:
    """Without an answer the memory comes back at once, not with the next question."""
    held = desk.window.gauge.vitals.engine_mib
    move_slider(desk, BEFORE_MIB)
    qtbot.waitUntil(lambda: desk.models.current.bill.budget_mib == BEFORE_MIB, timeout=3000)
    ask(qtbot, desk, "And about rivers?")
    wait_answered(qtbot, desk)
    qtbot.waitUntil(lambda: desk.window.gauge.vitals.engine_mib > held + 100, timeout=12_000)
    move_slider(desk, AFTER_MIB)
    gauge = desk.window.gauge
    qtbot.waitUntil(lambda: gauge.vitals.engine_mib < held + 60, timeout=12_000)
    assert not desk.chat.busy
