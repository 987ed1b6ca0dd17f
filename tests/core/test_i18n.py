"""Errors and texts of both languages: complete, in step with the code, stable across the pipe."""

import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import r1desk.store.errors  # noqa: F401 - registers the store's errors
from deepseek_r1.core.errors import EngineFailed, ErrorReport, ModelFileMissing, R1Error
from deepseek_r1.core.i18n import current_language, system_language, tr, trn, use_language

ROOT = Path(__file__).resolve().parents[2]
PO = ROOT / "resources/translations/zh_CN/LC_MESSAGES/r1desk.po"


def test_the_catalogues_are_complete_and_in_step_with_the_code() -> None:
    check = [sys.executable, str(ROOT / "installer/translations.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_text_can_be_read_with_its_place_in_one_go():
    listing = [sys.executable, str(ROOT / "installer/translations.py"), "--list"]
    lines = subprocess.run(listing, capture_output=True, encoding="utf-8", check=True).stdout
    assert "app/r1desk/models/widgets/model_pill.py\tModel: {name}\t模型：{name}\n" in lines
    window = [line.split("\t")[1] for line in lines.splitlines() if line.startswith("app/r1desk/")]
    banned = re.compile(r"(?i)conversation|system prompt|[GM]iB .|\\bperplexity")
    assert [text for text in window if banned.search(text)] == [], "one word for one thing"


def test_every_translation_has_the_places_of_its_text() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    def last_form(text: str | tuple[str, ...]) -> str:
        return text if isinstance(text, str) else text[-1]

    with PO.open("rb") as file:
        wrong = [
            m.id
            for m in read_po(file, locale="zh_CN")
            if m.id and m.string and places(last_form(m.id)) != places(last_form(m.string))
        ]
    assert wrong == []


def test_a_number_decides_the_form_of_a_text() -> None:
    texts = [trn("{n:,} token", "{n:,} tokens", n) for n in (0, 1, 2, 1500)]
    assert texts == ["0 tokens", "1 token", "2 tokens", "1,500 tokens"]
    use_language("zh_CN")
    assert trn("{n:,} token", "{n:,} tokens", 1) == "1 个 token"
    assert trn("{n} chat imported.", "{n} chats imported.", 2).endswith("个对话。")


def test_a_text_is_answered_in_the_language_in_force() -> None:
    assert use_language("zh_CN") == current_language() == "zh_CN"
    assert tr("New chat") != "New chat"
    use_language("en")
    assert tr("New chat") == "New chat"


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh_CN.UTF-8", "zh_CN"), ("zh_TW.UTF-8", "zh_CN"), ("de_DE.UTF-8", "en"), ("C", "en")],
)
def test_the_system_language_decides_at_first(monkeypatch, locale, language):
    for key in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("LANG", locale)
    assert system_language() == language


ERRORS = sorted(R1Error.by_code.values(), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("error", ERRORS, ids=lambda cls: cls.__name__)
def test_every_error_describes_what_happened(error: type[R1Error]) -> None:
    assert error.what
    assert error.__doc__


@pytest.mark.parametrize("error", ERRORS, ids=lambda cls: cls.__name__)
def test_a_missing_fact_never_breaks_the_message(error: type[R1Error]) -> None:
    places = [
        name
        for text in (error.what, error.why, error.todo)
        for _, name, _, _ in string.Formatter().parse(text)
        if name
    ]
    assert ("?" in str(error())) == bool(places)


def test_an_error_crosses_the_pipe_unchanged() -> None:
    sent = ModelFileMissing(path="/tmp/模型.gguf").report()
    received = ErrorReport.model_validate_json(sent.model_dump_json())
    assert isinstance(received.error, ModelFileMissing)
    assert received.text() == str(ModelFileMissing(path="/tmp/模型.gguf"))


def test_two_errors_cannot_have_one_name() -> None:
    with pytest.raises(TypeError, match="EngineHung"):
        type("EngineHung", (R1Error,), {})


def test_an_unknown_code_is_an_engine_failure_and_keeps_its_detail() -> None:
    report = ErrorReport(code="FromTheFuture", facts={"detail": "flux"})
    assert isinstance(report.error, EngineFailed)
    assert "flux" in report.text()


def test_chinese_sentences_have_no_space_between_them() -> None:
    use_language("zh_CN")
    assert "。 " not in str(ModelFileMissing(path="/模型.gguf"))


def test_a_report_with_a_fact_of_any_name_becomes_its_error() -> None:
    report = ErrorReport(code="EngineFailed", facts={"self": "x", "detail": "flux"})
    assert "flux" in str(report.error)
