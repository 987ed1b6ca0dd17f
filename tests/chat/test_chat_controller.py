"""What is sent is on disk first; answers come one at a time; every version is kept."""

from pathlib import Path

from chat.chat_stack import CONTEXT, ChatStack, chat_stack
from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import Event, FinishReason, ThinkingEnd, ThinkingFinished
from deepseek_r1.core.messages import PartialAnswer
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.protocol import CancelRequest, EndThinkingRequest, GenerateRequest
from r1desk.chat.answers import pending_writes, streaming_answer
from r1desk.chat.answers.chat_settings import ChatSettingsController
from r1desk.store import ConversationSettings


def prompt(stack: ChatStack) -> list[str]:
    """The messages that the engine was given last."""
    return [message.content for message in stack.engine.asked.messages]


# ---- sending


def test_a_message_is_on_disk_before_the_engine_hears_of_it(stack: ChatStack) -> None:
    stored: list[list[str]] = []
    post = stack.engine.received.append

    def look(request: object) -> None:
        if isinstance(request, GenerateRequest):
            path = stack.read(lambda store: store.messages.path(1))
            stored.append([f"{node.content} {node.state}" for node in path])
        post(request)

    stack.engine._thread.supervisor.post = look
    stack.send("Name a fruit.")
    assert stored == [["Name a fruit. complete", " streaming"]]


def test_an_answer_is_streamed_and_stored_with_its_numbers(stack: ChatStack) -> None:
    streamed: list[str] = []
    stack.chat.answers.streamed.connect(lambda _, event: streamed.append(event.text))
    stack.send("Name a fruit.")
    stack.engine.say("A ")
    stack.engine.say("pear.")
    stack.finish(completion_tokens=2)
    assert streamed == ["A ", "pear."]
    node = stack.read(lambda store: store.messages.path(1)[-1])
    assert (node.content, node.state, node.model_name) == ("A pear.", "complete", "Model")
    assert node.stats.completion_tokens == 2
    assert not stack.chat.busy


def test_what_the_model_says_is_saved_while_it_speaks(stack, monkeypatch):
    assert streaming_answer.SAVE_EVERY_MS <= 1000
    stack.send("Name a fruit.")
    stack.engine.think("Hm.")
    stack.engine.say("A pear")
    stack.chat.answers._save()
    node = stack.read(lambda store: store.messages.path(1)[-1])
    assert (node.content, node.thinking, node.state) == ("A pear", "Hm.", "streaming")


def test_nothing_is_sent_where_nothing_was_written(stack: ChatStack) -> None:
    stack.send("  \n")
    assert stack.shown == []
    assert stack.engine.of_kind(GenerateRequest) == []


def test_a_message_sent_while_another_is_being_stored_is_given_back(stack: ChatStack) -> None:
    stack.exchange("Apples?", "Red.")
    stack.chat.send("And plums?")
    stack.do(stack.chat.send, "And cherries?")
    assert stack.back == ["And cherries?"]
    assert stack.texts == ["Apples?", "Red.", "And plums?", ""]
    stack.open(None)
    stack.open(1)
    assert stack.drafts[-1] == "And cherries?"


def test_what_is_written_while_a_new_chat_is_stored_goes_with_it(stack: ChatStack) -> None:
    stack.chat.answers.given_back.connect(lambda text, _files: stack.chat.save_draft(text))
    stack.chat.send("Apples?")
    stack.do(stack.chat.send, "And pears?")
    stack.open(None)
    stack.open(1)
    assert stack.drafts == ["", "And pears?"]


def test_the_conversation_opened_last_is_shown(stack: ChatStack) -> None:
    stack.exchange("Apples?", "Red.")
    stack.open(None)
    stack.exchange("Pears?", "Green.")
    stack.chat.open(1)
    stack.do(stack.chat.open, 2)
    assert stack.texts == ["Pears?", "Green."]


def test_an_answer_follows_the_settings_of_its_conversation(stack: ChatStack) -> None:
    stack.exchange("Apples?", "Red.")
    own = ConversationSettings("", "Be brief.", SamplingSettings(max_tokens=500, seed=7))
    stack.read(lambda store: store.conversations.save_settings(1, own))
    stack.send("Pears?")
    asked = stack.engine.asked
    assert prompt(stack)[0] == "Be brief."
    assert asked.sampling.seed == 7
    assert asked.reserve == CONTEXT // 4
    stack.answer("Green.")
    stack.open(None)
    stack.send("Plums?")
    assert stack.engine.asked.reserve == 80, "the longest answer takes no more"


def test_a_setting_that_is_changed_at_once_leaves_the_conversation_its_model(stack: ChatStack):
    stack.chat.models.next_path = Path("apples.gguf")
    stack.exchange("Apples?", "Red.")
    stack.open(None)
    settings = ChatSettingsController(stack.chat)
    warm = SamplingSettings(temperature=1.5)
    stack.chat.branch_shown.connect(lambda *_branch: settings.set_sampling(warm))
    stack.open(1)  # the click comes before the stored settings
    stored = stack.read(lambda store: store.conversations.settings(1))
    assert (stored.model_path, stored.sampling) == ("apples.gguf", warm)
    assert settings.present[0] == warm


# ---- one answer at a time


def test_what_is_asked_during_an_answer_is_answered_in_turn(stack: ChatStack) -> None:
    stack.send("Name a fruit.")
    stack.send("Name a tree.")
    stack.send("Name a fish.")
    assert [message.state for message in stack.shown[1::2]] == ["streaming", "queued", "queued"]
    assert len(stack.engine.of_kind(GenerateRequest)) == 1
    for answer in ("Pear.", "Oak.", "Eel."):
        stack.answer(answer)
    assert stack.texts == ["Name a fruit.", "Pear.", "Name a tree.", "Oak.", "Name a fish.", "Eel."]
    assert prompt(stack) == stack.texts[:-1]


def test_another_conversation_waits_its_turn(stack: ChatStack) -> None:
    stack.send("Write a story.")
    stack.open(None)
    stack.send("Apples?")
    assert (stack.chat.answering, stack.shown[-1].state) == (1, "queued")
    assert stack.chat.busy
    assert not stack.chat.busy_here
    stack.chat.stop()
    assert stack.engine.of_kind(CancelRequest) == []
    stack.chat.answers.stop(1)
    assert stack.engine.of_kind(CancelRequest)[-1].id == stack.engine.asked.id
    stack.finish(FinishReason.CANCELLED)
    assert (stack.chat.answering, stack.shown[-1].state) == (2, "streaming")
    assert prompt(stack) == ["Apples?"]


def test_a_question_that_waits_is_taken_back_with_what_was_asked_below_it(stack: ChatStack) -> None:
    for question in ("Name a fruit.", "Name a tree.", "Name a fish."):
        stack.send(question)
    assert stack.chat.answers.waiting == {1}
    stack.do(stack.actions.withdraw, stack.shown[3].id)
    assert stack.back == ["Name a tree.\n\nName a fish."]
    assert not stack.chat.answers.waiting
    stack.answer("Pear.")
    assert stack.texts == ["Name a fruit.", "Pear."]
    assert not stack.chat.busy


def test_another_answer_that_waits_is_taken_back_and_the_question_stays(stack: ChatStack) -> None:
    stack.exchange("Apples?", "Red.")
    stack.open(None)
    stack.send("Write a story.")
    stack.open(1)
    stack.do(stack.chat.regenerate, stack.shown[-1].id)
    assert (stack.chat.answers.waiting, stack.shown[-1].state) == ({1}, "queued")
    stack.do(stack.actions.withdraw, stack.shown[-1].id)
    assert stack.texts == ["Apples?", "Red."]


def test_a_cut_answer_that_waits_to_go_on_is_taken_back_with_what_was_asked_below_it(stack):
    stack.send("Apples?")
    stack.engine.say("Red")
    stack.finish(FinishReason.LENGTH)
    stack.open(None)
    stack.send("Write a story.")
    stack.open(1)
    stack.do(stack.chat.continue_answer, stack.shown[-1].id)
    stack.send("Pears?")
    stack.do(stack.actions.withdraw, stack.shown[1].id)
    assert (stack.texts, stack.back) == (["Apples?", "Red"], ["Pears?"])
    assert (stack.shown[1].state, stack.chat.answers.waiting) == ("complete", frozenset())
    stack.answer("Once upon a time.")
    stack.exchange("Plums?", "Blue.")
    assert stack.texts == ["Apples?", "Red", "Plums?", "Blue."]


def test_an_answer_that_ended_with_its_thought_is_written_on_request(stack: ChatStack) -> None:
    stack.send("Apples?")
    stack.engine.think("Red or green.")
    stack.finish(thinking_end=ThinkingEnd.MODEL)
    stack.do(stack.chat.continue_answer, stack.shown[-1].id)
    assert stack.engine.asked.continues == PartialAnswer(thinking="Red or green.")
    stack.answer("Red.")
    assert (stack.shown[-1].content, stack.shown[-1].thinking) == ("Red.", "Red or green.")


def test_a_stopped_answer_keeps_its_text(stack: ChatStack) -> None:
    stack.send("Write a story.")
    stack.engine.say("Once upon")
    stack.chat.stop()
    stack.finish(FinishReason.CANCELLED)
    assert (stack.shown[-1].content, stack.shown[-1].state) == ("Once upon", "stopped")


def test_a_trashed_conversation_has_no_answer_on_its_way(stack: ChatStack) -> None:
    stack.send("Write a story.")
    stack.send("And then?")
    stack.do(stack.chat.stop_conversation, 1)
    assert stack.engine.of_kind(CancelRequest)
    stack.finish(FinishReason.CANCELLED)
    assert not stack.chat.busy
    assert len(stack.engine.of_kind(GenerateRequest)) == 1
    assert [message.state for message in stack.shown[1::2]] == ["stopped", "stopped"]


def test_coming_back_to_an_answer_shows_its_text_once(stack: ChatStack) -> None:
    stack.send("Write a story.")
    stack.engine.say("Once ")
    stack.open(None)
    stack.engine.say("upon ")
    shown: list[str] = []
    stack.chat.branch_shown.connect(lambda _, branch: shown.append(branch[-1].content))
    stack.chat.answers.streamed.connect(lambda _, event: shown.append(event.text))
    stack.open(1)
    stack.engine.say("a time.")
    assert shown == ["Once upon ", "a time."]


# ---- versions


def test_editing_and_regenerating_keep_every_version(stack: ChatStack) -> None:
    stack.exchange("Name a fruit.", "Pear.")
    question, first = stack.shown
    stack.do(stack.chat.regenerate, stack.shown[-1].id)
    stack.answer("Plum.")
    second = stack.shown[-1]
    assert (second.sibling_index, second.sibling_count) == (1, 2)
    stack.do(stack.chat.send, "Name a nut.", edited=question.id)
    assert prompt(stack) == ["Name a nut."]
    stack.answer("Hazel.")
    assert stack.texts == ["Name a nut.", "Hazel."]
    assert stack.shown[0].sibling_count == 2
    stack.do(stack.chat.select_sibling, stack.shown[0].id, -1)
    assert stack.texts == ["Name a fruit.", "Plum."]
    stack.do(stack.chat.select_sibling, second.id, -1)
    assert stack.shown == [question, first] or stack.texts == ["Name a fruit.", "Pear."]


def test_an_edited_message_leaves_the_draft_of_the_next_one(stack: ChatStack) -> None:
    stack.exchange("Name a fruit.", "Pear.")
    stack.chat.save_draft("half a thou")
    stack.do(stack.chat.send, "Name a nut.", edited=stack.shown[0].id)
    assert stack.read(lambda store: store.conversations.draft(1)) == "half a thou"


def test_a_failed_answer_without_text_is_replaced(stack: ChatStack) -> None:
    stack.send("Name a fruit.")
    stack.engine.fail(EngineFailed(detail="no"))
    stack.settle()
    assert stack.shown[-1].state == "failed"
    assert stack.shown[-1].error_text == EngineFailed(detail="no").report().text()
    stack.do(stack.chat.regenerate, stack.shown[-1].id)
    assert stack.shown[-1].sibling_count == 1
    stack.engine.say("Pe")
    stack.engine.fail(EngineFailed(detail="no"))
    stack.settle()
    assert stack.shown[-1].content == "Pe"
    stack.do(stack.chat.regenerate, stack.shown[-1].id)
    assert stack.shown[-1].sibling_count == 2


# ---- thinking, and what goes on


def test_an_answer_that_was_cut_goes_on_below_its_text(stack: ChatStack) -> None:
    stack.send("Write.")
    stack.engine.say("Once ")
    stack.finish(FinishReason.LENGTH, completion_tokens=1)
    stack.do(stack.chat.continue_answer, stack.shown[-1].id)
    asked = stack.engine.asked
    assert asked.continues.text == "Once "
    assert prompt(stack) == ["Write."]
    stack.engine.say("upon.")
    stack.finish(completion_tokens=1)
    answer = stack.shown[-1]
    assert (answer.content, answer.stats.completion_tokens) == ("Once upon.", 2)


def test_a_thought_can_be_ended_now_or_later(stack: ChatStack) -> None:
    shown: list[Event] = []
    stack.chat.answers.streamed.connect(lambda _, event: shown.append(event))
    stack.send("How many?")
    stack.engine.think("Two? ")
    stack.chat.answers.answer_now()
    assert stack.engine.of_kind(EndThinkingRequest)[-1].id == stack.engine.asked.id
    stack.chat.stop()
    stack.finish(FinishReason.CANCELLED, inside_thinking=True)
    begun = stack.shown[-1]
    assert (begun.thinking, begun.content, begun.thinking_s) == ("Two? ", "", 2.0)
    stack.do(stack.chat.continue_answer, begun.id, answers_now=True)
    assert stack.engine.asked.sampling.thinking_budget == 0
    assert stack.engine.asked.continues.inside_thinking
    stack.engine.event(ThinkingFinished(seconds=1.0, end=ThinkingEnd.BUDGET))
    stack.engine.say("Two.")
    stack.finish(thinking_end=ThinkingEnd.BUDGET)
    assert ThinkingFinished(seconds=3.0, end=ThinkingEnd.REQUEST) in shown
    assert stack.shown[-1].stats.thinking_end is ThinkingEnd.REQUEST
    assert (stack.shown[-1].thinking, stack.shown[-1].content) == ("Two? ", "Two.")


# ---- a disk that refuses


def test_messages_that_find_the_disk_full_come_back_in_their_order(stack: ChatStack) -> None:
    stack.exchange("Apples?", "Red.")
    stack.disk.full = True
    stack.chat.send("Pears?")
    stack.do(stack.chat.send, "And plums?")
    assert stack.back == ["And plums?", "Pears?"]  # each goes before those that are back already
    assert stack.failures == ["StoreFull"]
    assert stack.texts == ["Apples?", "Red."]
    stack.disk.full = False
    stack.open(None)
    stack.open(1)
    assert stack.drafts[-1] == "Pears?\n\nAnd plums?"


def test_after_a_chat_that_cannot_be_read_a_new_one_is_there_to_write_in(stack: ChatStack) -> None:
    stack.exchange("Apples?", "Red.")
    stack.open(None)
    stack.exchange("Pears?", "Green.")
    stack.disk.full = True
    stack.open(1)
    assert set(stack.failures) == {"StoreFull"}
    assert stack.texts == []
    stack.disk.full = False
    stack.send("And plums?")
    assert stack.texts == ["And plums?", ""]
    assert stack.read(lambda store: len(store.conversations.infos())) == 3


def test_an_answer_that_finds_the_disk_full_is_shown_whole_and_saved_later(stack, monkeypatch):
    recovered: list[bool] = []
    stack.chat.pending_writes.recovered.connect(lambda: recovered.append(True))
    stack.send("Write a story.")
    stack.engine.say("Once ")
    stack.disk.full = True
    stack.chat.answers._save()
    stack.answer("upon a time.")
    assert stack.failures == ["StoreFull"], "the same trouble is told once"
    assert stack.texts[-1] == "Once upon a time."
    assert not stack.chat.busy
    assert stack.chat.pending_writes.waiting
    stack.open(None)
    stack.disk.full = False
    stack.open(1)
    assert stack.texts[-1] == "Once upon a time.", "also after looking at another conversation"
    stack.chat.pending_writes._try_again()
    stack.settle()
    assert recovered == [True]
    assert not stack.chat.pending_writes.waiting
    assert stack.read(lambda store: store.messages.path(1)[-1].content) == "Once upon a time."
    assert pending_writes.RETRY_MS <= 5000


def test_a_question_after_an_unsaved_answer_builds_upon_the_whole_answer(stack: ChatStack) -> None:
    stack.send("Write a story.")
    stack.disk.full = True
    stack.answer("Once upon a time.")
    stack.disk.full = False
    stack.send("More.")
    assert prompt(stack) == ["Write a story.", "Once upon a time.", "More."]
    assert not stack.chat.pending_writes.waiting


def test_the_end_of_the_application_keeps_what_was_written(tmp_path, qapp) -> None:
    with chat_stack(tmp_path) as stack:
        stack.send("Write a story.")
        stack.engine.say("Once upon")
        stack.chat.close()
        stack.engine.say(" a time.")  # the engine's last word finds no answer any more
        stack.engine.finish(FinishReason.CANCELLED)
    with chat_stack(tmp_path) as stack:
        stack.open(1)
        assert (stack.shown[-1].content, stack.shown[-1].state) == ("Once upon", "stopped")
