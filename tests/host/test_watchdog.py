"""A silent process is hung only when it is certain, and is ended step by step."""

import pytest

from deepseek_r1.core.errors import EngineFailed, EngineHung
from deepseek_r1.host.engine_session import (
    EngineSession,
    HangLimits,
    KillStep,
    RestartBudget,
    Watchdog,
)
from deepseek_r1.host.in_flight import InFlightRequests
from deepseek_r1.host.protocol import (
    VERSION,
    EnginePhase,
    GenerateRequest,
    Handshake,
    Heartbeat,
    UnloadRequest,
)


def checks(watch: Watchdog, until: float, last_sign_at, moved_at) -> float | None:
    """Check whenever the watch wants to; the time of the verdict, or None by `until`."""
    while watch.next_at <= until:
        now = watch.next_at
        if watch.hung_for(now, last_sign_at(now), moved_at(now)) is not None:
            return now
    return None


@pytest.mark.parametrize(
    ("beats", "moved_at", "least_s", "most_s"),
    [
        pytest.param(False, 0.0, 11, 13, id="silent: ten seconds and a second check"),
        pytest.param(False, None, 11, 16, id="idle without beats"),
        pytest.param(True, 0.0, 61, 63, id="beats without a moving loop: a minute"),
    ],
)
def test_a_process_without_a_sign_is_hung(beats, moved_at, least_s, most_s):
    watch = Watchdog(HangLimits(), 0.0)
    verdict = checks(watch, 200, lambda now: now if beats else 0.0, lambda _: moved_at)
    assert least_s <= verdict <= most_s


def test_an_idle_engine_that_beats_is_never_hung():
    assert checks(Watchdog(HangLimits(), 0.0), 1000, lambda now: now - 2, lambda _: None) is None


def test_one_missed_check_is_not_enough():
    watch = Watchdog(HangLimits(), 0.0)
    while watch.next_at < 11:
        watch.hung_for(watch.next_at, 0.0, None)
    assert watch.hung_for(11.0, 0.0, None) is None
    assert watch.hung_for(12.0, 12.0, None) is None
    assert watch.hung_for(13.0, 13.0, None) is None


@pytest.mark.parametrize("moved_at", [None, 100.0])
def test_a_night_of_sleep_is_not_the_engines_silence(moved_at):
    watch = Watchdog(HangLimits(), 100.0)
    assert watch.hung_for(101.0, 100.5, moved_at) is None
    woke = 101.0 + 8 * 3600
    assert watch.hung_for(woke, 100.5, moved_at) is None
    assert watch.hung_for(woke + 1, 100.5, moved_at) is None
    verdict = checks(watch, woke + 100, lambda _: 100.5, lambda _: moved_at)
    assert 10 <= verdict - woke <= 16  # and one that does not wake up is noticed


def test_the_ladder_goes_up_and_stays_at_the_top():
    session, in_flight = EngineSession(HangLimits(), 0.0), InFlightRequests()
    in_flight.add(UnloadRequest(id=1), 0.0)
    session.condemn(EngineFailed(), KillStep.CANCEL, 5.0)
    assert [session.check(now, in_flight, 0.0) for now in (5.0, 7.0, 8.0, 13.0)] == [
        KillStep.CANCEL, KillStep.TERMINATE, KillStep.KILL, KillStep.KILL,
    ]  # fmt: skip


def test_three_restarts_in_five_minutes_are_allowed_and_a_fourth_is_not():
    budget = RestartBudget()
    assert [budget.record_crash(now) for now in (0, 100, 200, 299)] == [True, True, True, False]
    budget.reset()
    assert [budget.record_crash(now) for now in (0, 101, 202, 303, 404)] == [True] * 5


def test_an_engine_that_does_not_obey_a_cancel_is_ended_though_it_moves():
    session, in_flight = EngineSession(HangLimits(), 0.0), InFlightRequests()
    session.check_order(Handshake(version=VERSION, pid=1, engine="test"), 0.0)
    in_flight.add(GenerateRequest(id=1), 0.0)
    in_flight.cancel(1, 10.0)
    moving = Heartbeat(
        phase=EnginePhase.WORKING, idle_s=0, cpu_s=0, rss_mib=1, peak_mib=1,
        context_used=0, context_length=0,
    )  # fmt: skip
    for now in range(1, 11):
        assert session.verdict is None
        session.on_heartbeat(moving, now)
        session.check(now, in_flight, last_sign_at=now)
    assert isinstance(session.verdict, EngineHung)
