"""After an answer the next turn is prepared; a reopened chat is restored; both can be refused."""

from pathlib import Path

import pytest

from chat.chat_stack import ChatStack
from deepseek_r1.core.errors import PromptTooLong
from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.settings import PromptCacheSettings
from deepseek_r1.documents.document import Block, Document, Place
from deepseek_r1.host.protocol import CancelRequest, DoneReply, PrepareRequest, RetainPromptsRequest
from r1desk.chat.context import prompt_preparation
from r1desk.chat.context.prompt_preparation import PromptPreparation
from r1desk.store import AnswerSources

NOTHING = PromptCacheSettings(disk_mib=0, prepare_next_turn=False)


class Preparing:
    """The preparation of a chat."""

    def __init__(self, stack: ChatStack, folder: Path | None) -> None:
        self.stack, self.preferences = stack, stack.settings
        self.preferences.prompts = PromptCacheSettings()
        self.preparation = PromptPreparation(stack.chat, folder)

    def use(self, settings: PromptCacheSettings) -> None:
        """Take up other settings."""
        self.preferences.prompts = settings
        self.preparation.apply_settings()

    @property
    def asked(self) -> list[tuple[str, bool, list[str]]]:
        """Each preparation: its owner, whether to compute, and its messages."""
        requests = self.stack.engine.of_kind(PrepareRequest)
        return [(r.owner, r.compute, [m.content for m in r.messages]) for r in requests]

    def retained(self) -> tuple[str, ...]:
        """The conversations whose prompts were to stay, the last time."""
        self.preparation.retain_present()
        self.stack.settle()
        owners: tuple[str, ...] = self.stack.engine.of_kind(RetainPromptsRequest)[-1].owners
        return owners


@pytest.fixture(autouse=True)
def battery(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the battery is low."""
    low = [False]
    monkeypatch.setattr(prompt_preparation, "battery_is_low", lambda: low[0])
    return low


@pytest.fixture
def preparing(stack: ChatStack, tmp_path: Path) -> Preparing:
    return Preparing(stack, tmp_path / "prompts")


def test_after_an_answer_the_next_turn_is_computed(preparing: Preparing, stack: ChatStack) -> None:
    stack.settings.system_prompt = "Be brief."
    stack.exchange("Apples?", "Red.")
    assert preparing.asked[-1] == ("1", True, ["Be brief.", "Apples?", "Red."])


def test_a_turn_behind_whole_documents_is_kept_in_their_names_too(preparing, stack):
    for each in ("aa", "bb"):
        stack.chat.index.add(Document("a.txt", each, "txt", None, (Block("Apples.", Place()),)))
    sources = AnswerSources(documents=("aa", "bb"), whole=True, asked="Apples?")
    stack.do(stack.chat.send, "Apples?", (), sources)
    stack.answer("Red.")
    assert preparing.asked[-1][0] == "1 document:aa document:bb"


def test_on_a_low_battery_nothing_is_computed(preparing, stack, battery):
    battery[0] = True
    stack.exchange("Apples?", "Red.")
    assert preparing.asked[-1] == ("1", False, ["Apples?", "Red."])


def test_a_reopened_chat_is_restored_and_nothing_computed(preparing, stack):
    stack.exchange("Apples?", "Red.")
    stack.open(None)
    stack.engine.received.clear()
    stack.open(1)
    assert preparing.asked == [("1", False, ["Apples?", "Red."])]


def test_nothing_is_kept_or_computed_by_those_who_want_that(preparing, stack, tmp_path):
    preparing.use(NOTHING)
    stack.exchange("Apples?", "Red.")
    stack.open(1)
    preparing.preparation.retain_present()
    stack.settle()
    assert preparing.asked == []
    assert stack.engine.bridge.prompt_cache.budget_mib == 0
    assert stack.engine.of_kind(RetainPromptsRequest) == [], "there is no folder either"
    (tmp_path / "prompts").mkdir()
    assert preparing.retained() == (), "what was kept before is deleted"


def test_a_profile_that_cannot_be_written_keeps_no_prompts(stack: ChatStack) -> None:
    made = Preparing(stack, None)
    made.use(made.preferences.prompts.model_copy(update={"prepare_next_turn": False}))
    stack.exchange("Apples?", "Red.")
    made.preparation.retain_present()
    assert made.asked == []
    assert stack.engine.of_kind(RetainPromptsRequest) == []


def test_prompts_stay_as_long_as_their_conversation_can_come_back(preparing, stack):
    Path(stack.engine.bridge.prompt_cache.path).mkdir()
    for question in ("Apples?", "Pears?"):
        stack.open(None)
        stack.exchange(question, "Yes.")
    stack.read(lambda store: store.conversations.trash(1))
    assert set(preparing.retained()) == {"1", "2"}
    stack.read(lambda store: store.conversations.purge([1]))
    assert preparing.retained() == ("2",)


def test_a_full_context_and_an_open_thought_wait_for_the_user(preparing, stack):
    stack.send("Apples?")
    stack.engine.fail(PromptTooLong(tokens=500, context=400))
    stack.settle()
    stack.open(None)
    stack.send("Pears?")
    stack.engine.think("Hm.")
    stack.finish(FinishReason.CANCELLED, inside_thinking=True)
    assert not any(compute for _, compute, _ in preparing.asked)


def test_a_user_who_asks_on_is_not_kept_waiting(preparing: Preparing, stack: ChatStack) -> None:
    stack.send("Apples?")
    stack.send("Pears?")  # its turn comes at once
    stack.answer("Red.")
    assert stack.chat.busy
    assert not any(compute for _, compute, _ in preparing.asked)


@pytest.mark.parametrize("leaves", [False, True])
def test_who_stops_or_leaves_ends_the_preparation(preparing, stack, leaves):
    stack.exchange("Apples?", "Red.")
    assert stack.chat.preparing
    request = stack.engine.of_kind(PrepareRequest)[-1]
    if leaves:
        stack.chat.new_chat()
    else:
        stack.chat.stop()
    assert stack.engine.of_kind(CancelRequest)[-1].id == request.id
    stack.engine.reply(DoneReply(id=request.id))
    assert not stack.chat.preparing


def test_after_a_stopped_answer_nothing_is_computed(preparing: Preparing, stack: ChatStack) -> None:
    stack.send("Apples?")
    stack.engine.say("Re")
    stack.finish(FinishReason.CANCELLED)
    assert preparing.asked == [("1", False, ["Apples?", "Re"])]
