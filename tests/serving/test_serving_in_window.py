"""Other programs use the window's model while the switch is on, and nothing is left of it."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot

from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.messages import Role
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.sharing_protocol import SharingClient
from r1desk.platform.qt_application import install_qt_translations
from r1desk.preferences import Preferences
from r1desk.serving.server_process import ServingPhase, ServingState
from r1desk.serving.widgets import ServingDialog, client_text
from r1desk.shell.session import Session
from support.engine_script import EngineScript, goes_on
from support.patience import PATIENCE_S
from window.mouse_and_keys import click
from window.session_fixture import ask_and_wait, running_session, short_answers, wait_ready

pytestmark = [pytest.mark.integration, pytest.mark.qt_log_ignore("This plugin does not support")]


@pytest.fixture
def engine(engine: EngineScript) -> EngineScript:
    """A model whose answers are as long as they may be."""
    engine.answers(goes_on())
    return engine


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def served(stored: Preferences) -> None:
    short_answers(stored)
    stored.serving_port = free_port()


class Call:
    """A request of another program, in a thread: the test's own one runs the window."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._work()
        except httpx2.HTTPError as error:
            self.error = error

    def wait(self, qtbot: QtBot) -> Any:
        qtbot.waitUntil(lambda: not self._thread.is_alive())
        if self.error is not None:
            raise self.error
        return self.result


@pytest.mark.parametrize(
    ("requests", "running", "line"),
    [(1, 0, "MyEditor: 1 request"), (1200, 2, "MyEditor: 1,200 requests · 2 being answered")],
)
def test_a_program_is_listed_with_its_requests(requests, running, line):
    assert client_text(SharingClient(name="MyEditor", requests=requests, running=running)) == line


def open_dialog(session: Session) -> ServingDialog:
    session.window.serving_action.trigger()
    return session.window.findChild(ServingDialog)


def switch_on(qtbot: QtBot, session: Session) -> ServingDialog:
    wait_ready(qtbot, session)
    dialog = open_dialog(session)
    qtbot.waitExposed(dialog)
    click(dialog.switch)
    qtbot.waitUntil(lambda: session.serving.state.phase is ServingPhase.ON)
    return dialog


def post(session: Session, body: dict[str, Any], *, key: str | None = None) -> httpx2.Response:
    state = session.serving.state
    headers = {"Authorization": f"Bearer {state.key if key is None else key}"}
    address = f"{state.address}/chat/completions"
    return httpx2.post(address, json=body, headers=headers, timeout=PATIENCE_S)


def question(text: str, tokens: int, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": tokens} | more


def test_it_is_off_until_it_is_switched_on_and_then_answers_with_the_key_alone(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with running_session(qtbot, own_profile, served, engine) as session:
        assert session.serving.pid == 0
        assert not session.window.serving_button.isVisible()
        dialog = switch_on(qtbot, session)
        state, server = session.serving.state, psutil.Process(session.serving.pid)
        assert dialog.port.lineEdit().textMargins().left() > 0
        assert dialog.address.text() == state.address == f"http://127.0.0.1:{state.port}/v1"
        assert state.key not in dialog.key.text()
        assert session.window.serving_button.isVisible()
        listening = [each.laddr.ip for each in server.net_connections() if each.status == "LISTEN"]
        assert listening == ["127.0.0.1"]
        assert (
            Call(lambda: post(session, question("?", 1), key="wrong")).wait(qtbot).status_code
            == 401
        )
        reply = Call(lambda: post(session, question("Hello", 8))).wait(qtbot)
        assert reply.status_code == 200
        assert reply.json()["usage"]["completion_tokens"] == 8
        assert reply.json()["model"] == state.model
        qtbot.waitUntil(lambda: "python-httpx2" in dialog.clients.text())
        assert "wrong" not in dialog.clients.text()
        click(dialog.switch)
        qtbot.waitUntil(lambda: session.serving.state.phase is ServingPhase.OFF)
        assert not server.is_running()
        assert not session.window.serving_button.isVisible()
        ask_and_wait(qtbot, session, "Are you still there?")
        dialog.close()


@pytest.mark.slow
def test_the_users_own_answer_comes_first_and_the_served_one_goes_on_afterwards(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with running_session(qtbot, own_profile, served, engine) as session:
        dialog = switch_on(qtbot, session)
        wanted = question("Write a very long story.", 300, stream=True)
        wanted["stream_options"] = {"include_usage": True}
        texts: list[str] = []
        usage: list[int] = []
        ended: list[str] = []

        def stream() -> None:
            state = session.serving.state
            headers = {"Authorization": f"Bearer {state.key}"}
            address = f"{state.address}/chat/completions"
            with httpx2.stream(
                "POST", address, json=wanted, headers=headers, timeout=PATIENCE_S
            ) as reply:
                for line in reply.iter_lines():
                    if line.startswith("data: {"):
                        chunk = json.loads(line.removeprefix("data: "))
                        if chunk["choices"]:
                            texts.append(chunk["choices"][0]["delta"].get("content") or "")
                        if chunk.get("usage"):
                            ended.append("served")
                            usage.append(chunk["usage"]["completion_tokens"])

        call = Call(stream)
        qtbot.waitUntil(lambda: len(texts) > 3)
        session.chat.answer_finished.connect(lambda _message: ended.append("own"))
        ask_and_wait(qtbot, session, "And mine?")
        own = session.chat.shown_branch[-1]
        assert own.role is Role.ASSISTANT
        assert own.state == "complete"
        assert own.content
        call.wait(qtbot)
        assert ended == ["own", "served"]
        assert usage == [300]
        assert len("".join(texts)) > 50
        dialog.close()


def test_a_port_in_use_is_reported_and_another_one_works(qtbot, own_profile, engine):
    with running_session(qtbot, own_profile, served, engine) as session:
        wait_ready(qtbot, session)
        dialog = open_dialog(session)
        qtbot.waitExposed(dialog)
        with socket.create_server(("127.0.0.1", session.serving.state.port)):
            click(dialog.switch)
            qtbot.waitUntil(lambda: bool(session.serving.state.problem))
        assert "Cannot listen" in dialog.problem.text()
        assert not dialog.switch.isChecked()
        dialog.port.setValue(free_port())
        click(dialog.switch)
        qtbot.waitUntil(lambda: session.serving.state.phase is ServingPhase.ON)
        assert not dialog.problem.isVisible()
        dialog.close()


def test_a_budget_without_room_for_the_server_refuses_it(qtbot, own_profile, engine):
    with running_session(qtbot, own_profile, served, engine) as session:
        wait_ready(qtbot, session)
        loaded = session.models.current
        assert loaded is not None
        full = loaded.bill.model_copy(update={"budget_mib": loaded.bill.total_mib + 10})
        session.models.current = loaded.model_copy(update={"bill": full})
        dialog = open_dialog(session)
        click(dialog.switch)
        assert "memory budget" in dialog.problem.text()
        assert not dialog.switch.isChecked()
        assert session.serving.pid == 0
        dialog.close()


def test_a_server_that_is_killed_is_reported_and_closing_the_window_ends_one_that_runs(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with running_session(qtbot, own_profile, served, engine) as session:
        dialog = switch_on(qtbot, session)
        psutil.Process(session.serving.pid).kill()
        qtbot.waitUntil(lambda: session.serving.state.phase is ServingPhase.OFF)
        assert "ended" in dialog.problem.text()
        click(dialog.switch)
        qtbot.waitUntil(lambda: session.serving.state.phase is ServingPhase.ON)
        server = psutil.Process(session.serving.pid)
        engine = psutil.Process(session.engine.engine_pid)
        dialog.close()
    _, alive = psutil.wait_procs([server, engine], timeout=PATIENCE_S)
    assert alive == []


def test_the_servers_memory_is_part_of_the_window_in_the_next_bill(qtbot, own_profile, engine):
    with running_session(qtbot, own_profile, served, engine) as session:
        dialog = switch_on(qtbot, session)
        before = session.models.current
        session.models.apply(LoadSettings(context_length=512))
        qtbot.waitUntil(lambda: session.models.ready and session.models.current is not before)
        reply = Call(lambda: post(session, question("Hello", 2))).wait(qtbot)
        assert reply.status_code == 200, "the reloaded model is served"
        window = next(line for line in session.models.current.bill.lines if line.name == "window")
        server_mib = psutil.Process(session.serving.pid).memory_info().rss / 2**20
        assert window.planned_mib > server_mib
        dialog.close()


def test_off_and_the_button_close_are_two_words_in_chinese(qtbot, qapp):
    use_language("zh_CN")
    install_qt_translations(qapp)
    dialog = ServingDialog(None)
    qtbot.addWidget(dialog)
    dialog.show_state(ServingState())
    close = dialog.buttons.button(QDialogButtonBox.StandardButton.Close)
    assert close.text().partition("(")[0] == "关闭"
    assert "关闭" not in dialog.status.text()
