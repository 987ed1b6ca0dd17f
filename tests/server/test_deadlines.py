"""Requests end at their deadline and at the cut-off, and the server's end waits for no engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.protocol import EngineState
from deepseek_r1.server.answers import AnswerService
from deepseek_r1.server.api_paths import ApiPaths
from deepseek_r1.server.api_requests import DetokenizeBody, TokenizeBody
from deepseek_r1.server.api_responses import ApiError
from deepseek_r1.server.async_engine import AsyncEngine
from deepseek_r1.server.serve_options import ServeOptions
from deepseek_r1.server.serving import _Serving, listen
from host.scripted_engine import LOADED
from support.patience import PATIENCE_S

OPTIONS = ServeOptions(
    model=Path("no model"), settings=LoadSettings(), served_name="none", parallel=1, drain_s=0.0
)


class SilentEngine:
    """Loads at once, and answers nothing until it is closed."""

    state, heartbeat = EngineState.STOPPED, None

    def __init__(self) -> None:
        self.on_request: Callable[[], None] = lambda: None
        self._receivers: list[Any] = []

    def load(self, *_what: object, **_how: object) -> object:
        return LOADED

    @property
    def requests(self) -> SilentEngine:
        return self

    def submit(self, make: Callable[..., Any], *_what: object, **_fields: object) -> Any:
        self._receivers.append(make(1, lambda: None))
        self.on_request()
        return self._receivers[-1]

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        for receiver in self._receivers:
            receiver.put(None)


def service(request_s: float = PATIENCE_S) -> AnswerService:
    engine = AsyncEngine(SilentEngine())
    engine.loaded = LOADED
    return AnswerService(engine, OPTIONS.model_copy(update={"request_s": request_s}))


def failed(service: AnswerService) -> list[str]:
    """The codes of the errors that were counted."""
    lines = service.metrics.text().decode().splitlines()
    return [line for line in lines if line.startswith("deepseek_r1:request_errors_total{")]


def test_after_the_cut_off_nothing_begins():
    async def main() -> None:
        answers, begun = service(), False
        answers.cut_off()
        with pytest.raises(ApiError) as refused:
            async with answers.deadline():
                begun = True
        assert (refused.value.code, begun) == ("shutting_down", False)
        assert failed(answers) == ['deepseek_r1:request_errors_total{code="shutting_down"} 1.0']

    asyncio.run(main())


def test_a_timeout_of_the_work_itself_is_not_the_deadline():
    async def main() -> None:
        answers = service()
        with pytest.raises(TimeoutError, match="its own"):
            async with answers.deadline():
                raise TimeoutError("its own")
        assert failed(answers) == []

    asyncio.run(main())


@pytest.mark.parametrize("path", ["tokenize", "detokenize"])
@pytest.mark.parametrize("late", [True, False], ids=["late", "cut off"])
def test_texts_and_tokens_have_a_deadline(path: str, late: bool):
    async def main() -> None:
        answers = service(request_s=0.01 if late else PATIENCE_S)
        api = ApiPaths(answers)
        call = (
            api.tokenize(TokenizeBody(prompt="a"))
            if path == "tokenize"
            else api.detokenize(DetokenizeBody(tokens=[1]))
        )
        if not late:
            asyncio.get_running_loop().call_later(0.01, answers.cut_off)
        with pytest.raises(ApiError) as refused:
            await asyncio.wait_for(call, PATIENCE_S)
        code, status = ("timeout", 504) if late else ("shutting_down", 503)
        assert (refused.value.code, refused.value.status) == (code, status)
        assert failed(answers) == [f'deepseek_r1:request_errors_total{{code="{code}"}} 1.0']

    asyncio.run(main())


def test_a_server_that_ends_waits_for_no_system_prompt_and_is_not_reported_ready(monkeypatch):
    """The engine computes that prompt for as long as it lives, so it has to be closed first."""
    reported: list[object] = []
    engine = SilentEngine()
    monkeypatch.setattr("deepseek_r1.server.serving.EngineClient", lambda **_events: engine)
    serving = _Serving(
        OPTIONS.model_copy(update={"system_prompt": "Be brief."}),
        on_event=lambda _event: None,
        on_loaded=reported.append,
    )
    engine.on_request = serving.end
    asyncio.run(asyncio.wait_for(serving.run([listen("127.0.0.1", 0)]), PATIENCE_S))
    assert reported == []
