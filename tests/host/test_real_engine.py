"""The real child with the real starter model."""

import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deepseek_r1.core.errors import (
    BudgetTooSmall,
    EngineDied,
    EngineHung,
    EngineOutOfMemory,
    LoadStopped,
    ModelFileMissing,
    ModelNotLoaded,
    NotAModelFile,
)
from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationFinished,
    LoadProgress,
    ModelLoaded,
    PrefillProgress,
    TemplateSource,
    TemplateUsed,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingFinished,
)
from deepseek_r1.core.messages import Message, PartialAnswer, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.engine_session import HangLimits, RestartBudget
from deepseek_r1.host.protocol import (
    CountTokensRequest,
    EngineState,
    SetThreadsRequest,
    UnloadRequest,
)
from support.closing_replies import closing, text_of
from support.patience import wait_until

pytestmark = pytest.mark.integration

# On Windows nothing distinguishes a process that another ended.
KILLED = EngineDied if sys.platform == "win32" else EngineOutOfMemory

SETTINGS = LoadSettings(context_length=2048, micro_batch=64)
GREEDY = SamplingSettings(temperature=0.0, max_tokens=12)
# The starter's two ends of a text are ruled out.
ENDLESS = SamplingSettings(
    temperature=0.0, max_tokens=1500, logit_bias={0: -100.0, 2: -100.0}, end_repetition=False
)
LONG_STORY = "Write a very long story about a whale and a lighthouse."


@pytest.fixture(scope="module")
def client() -> Iterator[EngineClient]:
    with EngineClient(budget=RestartBudget(1000)) as made:
        yield made


@pytest.fixture
def loaded(client: EngineClient, starter: Path) -> EngineClient:
    client.load(starter, SETTINGS)
    return client


def wait_for_state(client: EngineClient, state: EngineState) -> None:
    """It is published after the reply that brings it about."""
    wait_until(lambda: client.state is state, lambda: client.state)


def wait_for_beat(client: EngineClient, where) -> None:
    wait_until(lambda: client.heartbeat and where(client.heartbeat), lambda: client.heartbeat)


def test_a_model_is_loaded_and_asked(client, starter):
    progress = []
    loaded = client.load(starter, SETTINGS, on_event=progress.append)
    fractions = [event.fraction for event in progress if isinstance(event, LoadProgress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert (loaded.facts.architecture, loaded.facts.context_length) == ("llama", 2048)
    wait_for_state(client, EngineState.IDLE)
    *events, last = client.generate("Say hello.", GREEDY)
    assert len(text_of(events)) > 5
    assert isinstance(last, GenerationFinished)
    assert last.stats.completion_tokens == GREEDY.max_tokens or last.stats.finish_reason == "stop"
    hello = (Message(role=Role.USER, content="Say hello."),)
    counted = closing(client.submit(CountTokensRequest, messages=hello))
    assert counted.tokens == last.stats.prompt_tokens


def test_a_killed_engine_answers_the_next_question_as_before(loaded):
    chance = random.Random(7)
    expected = text_of(loaded.generate("Say hello.", GREEDY))
    for _ in range(2):
        events, text = loaded.generate(LONG_STORY, ENDLESS), ""
        for event in events:
            text += text_of([event])
            if text:
                break
        threading.Timer(chance.uniform(0, 0.3), psutil.Process(loaded.pid).kill).start()
        with pytest.raises(KILLED):
            text += text_of(events)
        assert len(text) > 0
        again = list(loaded.generate("Say hello.", GREEDY))
        assert any(isinstance(event, ModelLoaded) for event in again)
        assert text_of(again) == expected


def cancel_times(client: EngineClient, prompt: str, kind: type, rounds: int = 5) -> list[float]:
    times = []
    for number in range(rounds):
        events = client.generate(f"{number} {prompt}", ENDLESS)  # another start: nothing is cached
        next(event for event in events if isinstance(event, kind))
        client.cancel()
        began = time.monotonic()
        *_, last = events
        times.append(time.monotonic() - began)
        assert last.stats.finish_reason is FinishReason.CANCELLED
    return times


@pytest.mark.quiet
def test_an_answer_is_cancelled_within_200_ms(loaded):
    assert statistics.median(cancel_times(loaded, LONG_STORY, AnswerDelta)) < 0.2


@pytest.mark.quiet
def test_reading_a_long_message_is_cancelled_within_200_ms(client, starter):
    client.load(starter, LoadSettings(context_length=8192, micro_batch=512))
    prompt = "The quick brown fox jumps over the lazy dog. " * 600
    assert statistics.median(cancel_times(client, prompt, PrefillProgress)) < 0.2


def test_a_load_is_cancelled_and_another_follows(client, starter):
    stopped = threading.Event()

    def stop(event) -> None:
        if not stopped.is_set():
            stopped.set()
            client.cancel()

    closing(client.submit(UnloadRequest))
    settings = LoadSettings(context_length=8192)
    try:
        client.load(starter, settings, on_event=stop)
    except LoadStopped:
        wait_for_state(client, EngineState.READY)
        with pytest.raises(ModelNotLoaded):
            list(client.generate("Hello?"))
    client.load(starter, SETTINGS)
    assert text_of(client.generate("Say hello.", GREEDY))


def test_a_refused_file_leaves_the_present_model_alone(loaded, starter, tmp_path):
    (tmp_path / "text.gguf").write_text("not a model")
    pid = loaded.pid
    with pytest.raises(NotAModelFile):
        loaded.load(tmp_path / "text.gguf")
    with pytest.raises(ModelFileMissing):
        loaded.load(tmp_path / "missing.gguf")
    with pytest.raises(BudgetTooSmall) as caught:
        loaded.load(starter, LoadSettings(memory_budget=256, context_length=8192))
    assert caught.value.facts["advice"]
    wait_for_state(loaded, EngineState.IDLE)
    kinds = {type(event) for event in loaded.generate("Say hello.", GREEDY)}
    assert ModelLoaded not in kinds
    assert loaded.pid == pid


def test_one_model_at_a_time_is_in_memory(starter):
    with EngineClient() as client:
        client.load(starter, SETTINGS)
        wait_for_beat(client, lambda beat: beat.context_length == 2048)
        one = client.heartbeat.rss_mib
        client.load(starter, LoadSettings(context_length=1024, micro_batch=64))
        wait_for_beat(client, lambda beat: beat.context_length == 1024)
        assert client.heartbeat.rss_mib < one * 1.2
        closing(client.submit(UnloadRequest))
        # The file alone has 94 MiB; the system takes pages back in its own time.
        wait_for_beat(client, lambda beat: beat.context_length == 0 and beat.rss_mib < one - 80)


def test_threads_are_changed_while_an_answer_is_written(loaded, starter):
    events = loaded.generate(LONG_STORY, ENDLESS)
    next(event for event in events if isinstance(event, AnswerDelta))
    closing(loaded.submit(SetThreadsRequest, threads=1, threads_prefill=1))
    wait_for_state(loaded, EngineState.GENERATING)
    loaded.cancel()
    *_, last = events
    assert last.stats.finish_reason is FinishReason.CANCELLED


def test_text_that_is_no_text_is_answered(loaded):
    assert text_of(loaded.generate("lone \ud800 surrogate and \x00 NUL", GREEDY))


def test_a_model_in_a_folder_of_another_script_is_loaded(client, starter, tmp_path):
    folder = tmp_path / "模型 🐋 #%20"
    folder.mkdir()
    path = folder / "小.gguf"
    try:
        path.hardlink_to(starter)
    except OSError:
        shutil.copy(starter, path)
    assert client.load(path, SETTINGS).facts.path == str(path)
    assert text_of(client.generate("Say hello.", GREEDY))


@pytest.mark.quiet
def test_a_frozen_engine_is_ended_and_the_next_one_answers(starter):
    limits = HangLimits(beats_s=1.0, check_s=0.2, check_idle_s=0.2)
    with EngineClient(limits=limits) as client:
        client.load(starter, SETTINGS)
        events = client.generate(LONG_STORY, ENDLESS)
        next(event for event in events if isinstance(event, AnswerDelta))
        psutil.Process(client.pid).suspend()
        with pytest.raises(EngineHung):
            text_of(events)
        assert text_of(client.generate("Say hello.", GREEDY))


THINKING = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>\n' }}"


def test_the_thinking_is_ended_and_the_answer_goes_on_and_is_continued(client, starter):
    loaded = client.load(starter, SETTINGS, chat_template=THINKING)
    assert loaded.facts.template == TemplateUsed(source=TemplateSource.CHOSEN)
    assert loaded.facts.reasons
    random = SamplingSettings(max_tokens=6, seed=1, temperature=5.0, top_p=1.0)
    events = []
    for event in client.generate(LONG_STORY, random):
        events.append(event)
        if isinstance(event, ThinkingDelta):
            client.end_thinking()
    assert [e.end for e in events if isinstance(e, ThinkingFinished)] == [ThinkingEnd.REQUEST]
    text = text_of(events)
    assert text
    thinking = "".join(e.text for e in events if isinstance(e, ThinkingDelta))
    partial = PartialAnswer(thinking=thinking, text=text)
    more = list(client.generate(LONG_STORY, random, continues=partial))
    stats = more[-1].stats
    assert (stats.completion_tokens, stats.thinking_tokens) == (6, 0)
    assert stats.prompt_tokens - stats.cached_tokens == 1
