"""Errors of the user's world: complete texts, stable across the pipe, never failing themselves."""

from __future__ import annotations

import string

import pytest

import r1desk.store.errors  # noqa: F401 - registers the store's errors
from deepseek_r1.core.errors import EngineFailed, ErrorReport, ModelFileMissing, R1Error
from deepseek_r1.core.i18n import use_language

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
