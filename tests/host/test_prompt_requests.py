"""The next turn is readied by the engine's process, gives way to all else, and is there later."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.core.errors import ModelNotLoaded, PromptCacheUnavailable
from deepseek_r1.core.events import (
    AnswerDelta,
    Event,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    PromptCacheState,
)
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.prompt_requests import PromptRequests
from deepseek_r1.host.protocol import (
    PrepareRequest,
    PromptCacheFolder,
    RetainPromptsRequest,
    UnloadRequest,
)
from support.closing_replies import closing

pytestmark = pytest.mark.integration

SETTINGS = LoadSettings(memory_budget=1024, context_length=2048)
# The most likely token, nearly always. Not reproducible, so that all cells on disk are used.
GREEDY = SamplingSettings(temperature=1e-6, max_tokens=12)


@pytest.fixture
def folder(tmp_path: Path) -> PromptCacheFolder:
    return PromptCacheFolder(path=str(tmp_path / "prompts"), budget_mib=256)


@pytest.fixture
def client() -> Iterator[EngineClient]:
    with EngineClient() as made:
        yield made


def chat(count: int = 100) -> list[Message]:
    text = " ".join(f"{n} and {n * n}," for n in range(count))
    return [
        Message(role=Role.USER, content=f"What are these numbers? {text}"),
        Message(role=Role.ASSISTANT, content="Numbers and their squares."),
    ]


def following(messages: list[Message]) -> list[Message]:
    return [*messages, Message(role=Role.USER, content="Thank you. Are you sure?")]


def prepare(client, messages=None, owner="7", compute=True):
    request = client.submit(
        PrepareRequest, messages=messages or chat(), owner=owner, compute=compute
    )
    return request.events()


def retain_prompts(client: EngineClient, folder: PromptCacheFolder, *owners: str) -> None:
    closing(client.submit(RetainPromptsRequest, folder=folder, owners=owners))


def stats_of(events: Iterator[Event]) -> GenerationStats:
    *_, last = events
    assert isinstance(last, GenerationFinished)
    return last.stats


def state_of(events: list[Event]) -> PromptCacheState:
    return next(event for event in reversed(events) if isinstance(event, PromptCacheState))


def test_a_chat_is_ready_in_the_next_process(shallow_starter, folder, client):
    loaded: list[Event] = []
    client.load(shallow_starter, SETTINGS, prompt_cache=folder, on_event=loaded.append)
    assert state_of(loaded).segments == 0
    events = list(prepare(client))
    assert state_of(events).segments > 3
    wanted = list(client.generate(following(chat()), GREEDY))
    client.close()
    with EngineClient() as again:
        again.load(shallow_starter, SETTINGS, prompt_cache=folder)
        opened = list(prepare(again, compute=False))
        progress = [event for event in opened if isinstance(event, PrefillProgress)]
        assert progress[-1].done == progress[-1].total
        assert state_of(opened).problem == ""  # the locked process may set the times of its use
        answered = list(again.generate(following(chat()), GREEDY))
    texts = [[e.text for e in each if isinstance(e, AnswerDelta)] for each in (wanted, answered)]
    assert "".join(texts[0]) == "".join(texts[1])
    assert answered[-1].stats.cached_tokens == progress[-1].total


def test_a_question_ends_the_preparation_and_uses_what_it_did(shallow_starter, folder, client):
    client.load(shallow_starter, SETTINGS, prompt_cache=folder)
    began, asked = threading.Event(), threading.Event()
    progress: list[PrefillProgress] = []

    def prepare_it() -> None:
        for event in prepare(client):
            if isinstance(event, PrefillProgress):
                progress.append(event)
            began.set()
        asked.set()

    thread = threading.Thread(target=prepare_it)
    thread.start()
    assert began.wait(60)
    stats = stats_of(client.generate(following(chat()), GREEDY))
    thread.join(60)
    assert asked.is_set()
    assert stats.completion_tokens > 0
    assert stats.cached_tokens >= progress[-1].done - 1


def test_what_was_computed_is_written_when_the_process_ends(shallow_starter, folder, client):
    client.load(shallow_starter, SETTINGS, prompt_cache=folder)
    done = 0
    for event in prepare(client):
        if isinstance(event, PrefillProgress):
            done = event.done
            if done > 300:
                break  # which ends it
    client.close()
    with EngineClient() as again:
        again.load(shallow_starter, SETTINGS, prompt_cache=folder)
        stats = stats_of(again.generate(following(chat()), GREEDY))
    assert stats.restored_tokens >= 256


def test_nothing_is_loaded_again_for_a_preparation(shallow_starter, folder, client):
    with pytest.raises(ModelNotLoaded):
        list(prepare(client))
    client.load(shallow_starter, SETTINGS, prompt_cache=folder)
    closing(client.submit(UnloadRequest))
    with pytest.raises(ModelNotLoaded):
        list(prepare(client))


def test_a_deleted_conversations_prompts_are_deleted(shallow_starter, folder, client):
    client.load(shallow_starter, SETTINGS, prompt_cache=folder)
    list(prepare(client))
    retain_prompts(client, folder, "8", "9")
    assert list((Path(folder.path) / "segments").iterdir()) == []


def test_they_are_deleted_without_a_model_too(shallow_starter, folder, client):
    client.load(shallow_starter, SETTINGS, prompt_cache=folder)
    list(prepare(client))
    client.close()
    with EngineClient() as again:
        retain_prompts(again, folder)
    assert list((Path(folder.path) / "segments").iterdir()) == []


def test_with_save_answers_a_question_is_enough(shallow_starter, folder, client):
    saving = folder.model_copy(update={"save_answers": True})
    question = chat()[:1]
    client.load(shallow_starter, SETTINGS, prompt_cache=saving)
    stats_of(client.generate(question, GREEDY))
    client.close()
    with EngineClient() as again:
        again.load(shallow_starter, SETTINGS, prompt_cache=saving)
        stats = stats_of(again.generate(question, GREEDY))
    assert stats.restored_tokens == stats.cached_tokens > 500


def test_a_folder_in_use_is_a_reason_for_the_window_and_an_error_for_who_named_it(
    shallow_starter, folder, client
):
    other = PromptCache(Path(folder.path), 1 << 20)
    loaded: list[Event] = []
    client.load(shallow_starter, SETTINGS, prompt_cache=folder, on_event=loaded.append)
    assert state_of(loaded).problem
    assert stats_of(client.generate("Say hello.", GREEDY)).completion_tokens > 0
    with pytest.raises(PromptCacheUnavailable):
        client.load(
            shallow_starter, SETTINGS, prompt_cache=folder.model_copy(update={"save_answers": True})
        )
    other.close()


def test_a_full_disk_at_the_start_is_no_reason_to_refuse_an_answer(folder, monkeypatch):
    def refuse(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    requests = PromptRequests()
    assert requests.open(folder.model_copy(update={"save_answers": True})) is None
    state = requests.state()
    assert state is not None
    assert "No space left" in state.problem
