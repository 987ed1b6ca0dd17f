"""Each reply goes to the request that it answers, until that request is closed."""

import pytest

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import AnswerDelta
from deepseek_r1.host import protocol
from deepseek_r1.host.in_flight import OpenRequests


class Receiver:
    def __init__(self, request_id, cancel):
        self.id, self.cancel, self.replies = request_id, cancel, []

    def put(self, reply):
        self.replies.append(reply)


def text(request_id: int, word: str) -> protocol.EventReply:
    return protocol.EventReply(id=request_id, event=AnswerDelta(text=word))


def done(request_id: int) -> protocol.DoneReply:
    return protocol.DoneReply(id=request_id)


def test_replies_go_to_their_request_until_it_is_closed():
    sent = []
    requests = OpenRequests(sent.append)
    one, other = (requests.submit(Receiver, protocol.GenerateRequest) for _ in range(2))
    assert [request.id for request in sent] == [one.id, other.id]
    replies = [text(other.id, "a"), text(one.id, "b"), done(one.id), text(other.id, "c")]
    for reply in [*replies, text(one.id, "too late"), done(99)]:
        requests.hand_over(reply)
    assert one.replies == [text(one.id, "b"), done(one.id)]
    assert other.replies == [text(other.id, "a"), text(other.id, "c")]


def test_a_cancel_names_its_request():
    sent = []
    requests = OpenRequests(sent.append)
    requests.submit(Receiver, protocol.UnloadRequest)
    requests.submit(Receiver, protocol.GenerateRequest).cancel()
    assert sent[-1] == protocol.CancelRequest(id=sent[1].id)


def test_a_request_that_cannot_be_sent_is_not_open():
    made = []

    def make(request_id, cancel):
        made.append(Receiver(request_id, cancel))
        return made[-1]

    def refuse(_request):
        raise ValueError("too long")

    requests = OpenRequests(refuse)
    with pytest.raises(ValueError, match="too long"):
        requests.submit(make, protocol.GenerateRequest)
    requests.hand_over(text(made[0].id, "who?"))
    requests.close()
    assert made[0].replies == []


def test_after_the_end_all_receivers_know_and_no_request_is_taken():
    requests = OpenRequests(lambda _request: None)
    waiting = requests.submit(Receiver, protocol.GenerateRequest)
    requests.close()
    requests.close()
    assert waiting.replies == [None]
    with pytest.raises(EngineFailed):
        requests.submit(Receiver, protocol.GenerateRequest)
