"""Preferences of an earlier version keep what was chosen, and get what is automatic now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepseek_r1.core.settings import KVType
from r1desk import preferences
from r1desk.preferences import FILE_NAME, VERSION, Preferences


def stored(folder: Path, version: int, **load: object) -> Preferences:
    text = json.dumps({"version": version, "load": load})
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    found, damaged = preferences.load(folder)
    assert damaged is None
    return found


@pytest.mark.parametrize(
    ("version", "context_length", "now"), [(1, 4096, 0), (1, 2048, 2048), (2, 4096, 4096)]
)
def test_the_former_default_of_the_context_becomes_automatic(
    tmp_path: Path, version: int, context_length: int, now: int
) -> None:
    found = stored(tmp_path, version, context_length=context_length)
    assert (found.version, found.load.context_length) == (VERSION, now)


@pytest.mark.parametrize(
    ("version", "kv_type", "now"),
    [(1, "f16", KVType.AUTO), (2, "f16", KVType.AUTO), (2, "q4_0", KVType.Q4_0),
     (3, "f16", KVType.F16)],
)  # fmt: skip
def test_the_former_default_of_the_precision_becomes_automatic(
    tmp_path: Path, version: int, kv_type: str, now: KVType
) -> None:
    found = stored(tmp_path, version, kv_type=kv_type)
    assert (found.version, found.load.kv_type) == (VERSION, now)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b'{"theme": "plaid"}',
        b'{"text_size_pt": 1000000000}',
        b'{"load": {"memory_budget": -1}}',
        b'{"sampling": {"temperature": NaN}}',
        b'{"recent_models": "all"}',
        b'{"system_prompt',
    ],
)
def test_damaged_settings_are_set_aside_unchanged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    found, aside = preferences.load(tmp_path)
    assert found == Preferences(version=VERSION)
    assert aside is not None
    assert aside.match("preferences.damaged-*.json")
    assert aside.read_bytes() == content
    assert not (tmp_path / FILE_NAME).exists()
