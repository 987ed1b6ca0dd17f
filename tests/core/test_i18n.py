"""Both languages are complete and in step with the code."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from deepseek_r1.core.i18n import current_language, system_language, tr, trn, use_language

ROOT = Path(__file__).resolve().parents[2]
PO = ROOT / "resources/translations/zh_CN/LC_MESSAGES/r1desk.po"


def test_the_catalogues_are_complete_and_in_step_with_the_code() -> None:
    check = [sys.executable, str(ROOT / "installer/translations.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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
    assert trn("{n} conversation imported.", "{n} conversations imported.", 2).endswith("个对话。")


def test_a_text_is_answered_in_the_language_in_force() -> None:
    assert use_language("zh_CN") == current_language() == "zh_CN"
    assert tr("New chat") != "New chat"
    use_language("en")
    assert tr("New chat") == "New chat"


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh_CN.UTF-8", "zh_CN"), ("zh_TW.UTF-8", "zh_CN"), ("de_DE.UTF-8", "en"), ("C", "en")],
)
def test_the_system_language_decides_at_first(
    monkeypatch: pytest.MonkeyPatch, locale: str, language: str
) -> None:
    for key in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("LANG", locale)
    assert system_language() == language
