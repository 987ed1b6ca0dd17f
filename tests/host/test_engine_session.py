"""A session ends a process that is stuck, and gives time to one that others keep from computing."""

from __future__ import annotations

import pytest

from deepseek_r1.core.errors import EngineHung
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.engine_session import EngineSession
from deepseek_r1.host.in_flight import InFlightRequests
from deepseek_r1.host.protocol import VERSION, EnginePhase, GenerateRequest, Handshake, Heartbeat
from deepseek_r1.host.watchdog import HangLimits, ProcessorShare

LIMITS = HangLimits(cancel_s=10.0, loop_s=60.0)


def seconds_until_condemned(processor_share: float) -> float:
    """The seconds from the cancel of an answer that does not end to the session's verdict."""
    session, in_flight, now = EngineSession(LIMITS, 0.0), InFlightRequests(), 0.0
    session.check_order(Handshake(version=VERSION, pid=1, engine="test"), now)
    question = (Message(role=Role.USER, content="?"),)
    request = GenerateRequest(id=1, messages=question, sampling=SamplingSettings())
    in_flight.add(request, now)
    in_flight.cancel(1, now + LIMITS.cancel_s)
    while session.verdict is None:
        now += 0.5
        assert now < 100.0
        beat = Heartbeat(
            phase=EnginePhase.GENERATING,
            idle_s=0.0,
            cpu_s=processor_share * now,
            rss_mib=1.0,
            peak_mib=1.0,
            context_used=0,
            context_length=0,
        )
        session.on_heartbeat(beat, now)
        session.check(now, in_flight, last_sign_at=now)
    assert isinstance(session.verdict, EngineHung)
    return now


@pytest.mark.parametrize("share", [0.0, 0.01, 0.9, 1.8])
def test_an_engine_that_does_not_obey_is_ended_soon(share: float) -> None:
    assert seconds_until_condemned(share) == LIMITS.cancel_s


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_an_engine_that_hardly_gets_the_processor_has_more_time(share: float) -> None:
    assert seconds_until_condemned(share) == pytest.approx(LIMITS.loop_s, abs=1.0)


def test_an_engine_whose_heartbeats_ceased_is_not_taken_for_starved() -> None:
    share = ProcessorShare(window_s=10.0)
    for second in range(5):
        share.record(second, 0.1 * second)
    assert share.is_starved(5.0)
    assert not share.is_starved(20.0)


def test_heartbeats_that_arrive_at_one_time_tell_nothing() -> None:
    share = ProcessorShare(window_s=10.0)
    share.record(3.0, 0.1)
    share.record(3.0, 0.2)
    assert not share.is_starved(3.0)
