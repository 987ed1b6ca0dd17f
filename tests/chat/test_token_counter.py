"""Tokens are counted by the loaded model, also just after it was stopped."""

from functools import partial
from types import SimpleNamespace

from PySide6.QtCore import QTimer

from deepseek_r1.host.protocol import EngineState
from r1desk.chat.context.loaded_model import TokenCounter
from r1desk.platform.background_thread import ask_in_background
from support.awaiting import result_of
from support.models_double import ModelsDouble


def counted(*, busy_ms: int | None) -> int:
    """Of a text of 100 words by a model that counts 7, and is busy for so long; None: for ever."""

    async def reply(*_request, **_fields):
        return SimpleNamespace(tokens=7)

    engine, models = SimpleNamespace(state=EngineState.GENERATING, submit=reply), ModelsDouble(0)
    models.ready = True
    if busy_ms is not None:
        QTimer.singleShot(busy_ms, partial(setattr, engine, "state", EngineState.IDLE))
    counter = TokenCounter(engine, models)
    return result_of(ask_in_background(partial(counter.count_tokens, "word " * 100)))


def test_what_is_just_ending_is_waited_for(qtbot):
    assert counted(busy_ms=200) == 7


def test_a_model_that_goes_on_is_not_waited_for_and_the_estimate_is_cautious(qtbot):
    assert counted(busy_ms=None) > 100
