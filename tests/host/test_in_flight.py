"""Only the reply that an open request may get now is accepted, and goes to who asked."""

import pytest

from deepseek_r1.core.errors import EngineFailed, ErrorReport, ProtocolBroken
from deepseek_r1.core.events import (
    AnswerDelta,
    Bill,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    LoadProgress,
    ModelFacts,
    ModelLoaded,
)
from deepseek_r1.host.in_flight import InFlightRequests, OpenRequests
from deepseek_r1.host.protocol import (
    CancelRequest,
    CountTokensReply,
    CountTokensRequest,
    DoneReply,
    EmbedRequest,
    ErrorReply,
    EventReply,
    GenerateRequest,
    LoadRequest,
    SetThreadsRequest,
    UnloadRequest,
)

FACTS = ModelFacts(
    path="", name="", architecture="", file_mib=0, parameters=0, quantisation="",
    context_length=1, context_trained=1, vocabulary=1, reasons=False, engine="",
)  # fmt: skip
BILL = Bill(lines=(), budget_mib=1)
TEXT = EventReply(id=1, event=AnswerDelta(text="x"))
FINISHED = EventReply(
    id=1, event=GenerationFinished(stats=GenerationStats(finish_reason=FinishReason.STOP))
)
PROGRESS = EventReply(id=1, event=LoadProgress(fraction=0.1))
LOADED = EventReply(
    id=1, event=ModelLoaded(facts=FACTS, bill=BILL, load_s=0, threads=1, threads_prefill=1)
)
DONE, COUNTED = DoneReply(id=1), CountTokensReply(id=1, tokens=1)
FAILED = ErrorReply(id=1, report=ErrorReport(code="EngineFailed"))
GENERATE, LOAD = GenerateRequest(id=1, messages=()), LoadRequest(id=1, path="")
COUNT = CountTokensRequest(id=1, messages=())
THREADS = SetThreadsRequest(id=1, threads=1, threads_prefill=1)


@pytest.mark.parametrize(
    ("request_", "replies"),
    [
        (GENERATE, [TEXT, TEXT, FINISHED, DONE]),
        (GENERATE, [TEXT, FAILED]),
        (GENERATE, [FAILED]),
        (LOAD, [PROGRESS, LOADED, DONE]),
        (LOAD, [PROGRESS, FAILED]),
        (COUNT, [COUNTED]),
        (THREADS, [DONE]),
    ],
)
def test_replies_in_turn_are_accepted_and_close_the_request(request_, replies):
    ledger = InFlightRequests()
    ledger.add(request_, 0.0)
    for reply in replies:
        assert 1 in ledger
        ledger.accept(reply, 0.0)
    assert not ledger


@pytest.mark.parametrize(
    ("request_", "replies"),
    [
        (None, [DONE]),
        (GENERATE, [DONE]),
        (GENERATE, [FINISHED, TEXT]),
        (GENERATE, [FINISHED, FINISHED]),
        (GENERATE, [PROGRESS]),
        (GENERATE, [LOADED]),
        (GENERATE, [COUNTED]),
        (GENERATE, [FINISHED, DONE, DONE]),
        (LOAD, [DONE]),
        (LOAD, [TEXT]),
        (LOAD, [LOADED, PROGRESS]),
        (COUNT, [DONE]),
        (COUNT, [TEXT]),
        (THREADS, [COUNTED]),
        (THREADS, [FAILED, FAILED]),
    ],
)
def test_a_reply_out_of_turn_breaks_the_protocol(request_, replies):
    ledger = InFlightRequests()
    if request_ is not None:
        ledger.add(request_, 0.0)
    *before, last = replies
    for reply in before:
        ledger.accept(reply, 0.0)
    with pytest.raises(ProtocolBroken):
        ledger.accept(last, 0.0)


def test_a_cancel_sets_a_deadline_and_another_only_brings_it_closer():
    ledger = InFlightRequests()
    ledger.add(LOAD, 100.0)
    assert ledger.next_deadline is None
    ledger.cancel(1, deadline=110.0)
    assert ledger.overdue(109.9) is None
    assert ledger.overdue(110.0).request == LOAD
    ledger.cancel(1, deadline=105.0)
    assert ledger.next_deadline == 105.0
    ledger.cancel(1, deadline=200.0)
    assert ledger.next_deadline == 105.0


def test_a_cancelled_embedding_may_wait_for_the_answers_before_it():
    ledger = InFlightRequests()
    ledger.add(EmbedRequest(id=1, text="a"), 100.0)
    ledger.cancel(1, deadline=110.0)
    assert ledger.next_deadline is None


# ---- the owner's table --------------------------------------------------------------------


class Receiver:
    def __init__(self, request_id, cancel):
        self.id, self.cancel, self.replies = request_id, cancel, []

    def put(self, reply):
        self.replies.append(reply)


def text(request_id: int, word: str) -> EventReply:
    return EventReply(id=request_id, event=AnswerDelta(text=word))


def done(request_id: int) -> DoneReply:
    return DoneReply(id=request_id)


def test_replies_go_to_their_request_until_it_is_closed():
    sent = []
    requests = OpenRequests(sent.append)
    one, other = (requests.submit(Receiver, GenerateRequest) for _ in range(2))
    assert [request.id for request in sent] == [one.id, other.id]
    replies = [text(other.id, "a"), text(one.id, "b"), done(one.id), text(other.id, "c")]
    for reply in [*replies, text(one.id, "too late"), done(99)]:
        requests.hand_over(reply)
    assert one.replies == [text(one.id, "b"), done(one.id)]
    assert other.replies == [text(other.id, "a"), text(other.id, "c")]


def test_a_cancel_names_its_request():
    sent = []
    requests = OpenRequests(sent.append)
    requests.submit(Receiver, UnloadRequest)
    requests.submit(Receiver, GenerateRequest).cancel()
    assert sent[-1] == CancelRequest(id=sent[1].id)


def test_a_request_that_cannot_be_sent_is_not_open():
    made = []

    def make(request_id, cancel):
        made.append(Receiver(request_id, cancel))
        return made[-1]

    def refuse(_request):
        raise ValueError("too long")

    requests = OpenRequests(refuse)
    with pytest.raises(ValueError, match="too long"):
        requests.submit(make, GenerateRequest)
    requests.hand_over(text(made[0].id, "who?"))
    requests.close()
    assert made[0].replies == []


def test_after_the_end_all_receivers_know_and_no_request_is_taken():
    requests = OpenRequests(lambda _request: None)
    waiting = requests.submit(Receiver, GenerateRequest)
    requests.close()
    requests.close()
    assert waiting.replies == [None]
    with pytest.raises(EngineFailed):
        requests.submit(Receiver, GenerateRequest)
