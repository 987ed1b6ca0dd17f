"""A session ends a process that does not obey a cancel."""

from deepseek_r1.core.errors import EngineHung
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.engine_session import EngineSession, HangLimits
from deepseek_r1.host.in_flight import InFlightRequests
from deepseek_r1.host.protocol import VERSION, EnginePhase, GenerateRequest, Handshake, Heartbeat

LIMITS = HangLimits(cancel_s=10.0, loop_s=60.0)


def seconds_until_condemned() -> float:
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
            phase=EnginePhase.WORKING,
            idle_s=0.0,
            cpu_s=now,
            rss_mib=1.0,
            peak_mib=1.0,
            context_used=0,
            context_length=0,
        )
        session.on_heartbeat(beat, now)
        session.check(now, in_flight, last_sign_at=now)
    assert isinstance(session.verdict, EngineHung)
    return now


def test_an_engine_that_does_not_obey_is_ended() -> None:
    assert seconds_until_condemned() == LIMITS.cancel_s
