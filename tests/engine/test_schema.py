"""A JSON schema becomes a grammar, or is refused by the keyword that no grammar can promise."""

from __future__ import annotations

import json

import pytest

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.engine.schema import MAX_DEPTH, grammar_of, schema_text

REFUSED = {
    "a pattern": ({"type": "string", "pattern": "^a$"}, "pattern"),
    "bounds of a real number": ({"type": "number", "minimum": 0.5}, "minimum"),
    "an integer with only an upper bound": ({"type": "integer", "maximum": 5}, "minimum"),
    "all of several": ({"allOf": [{"type": "object"}, {"type": "null"}]}, "allOf"),
    "not": ({"not": {"type": "null"}}, "not"),
    "unique items": ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    "a format from nowhere": ({"type": "string", "format": "email"}, "email"),
    "a schema on the web": ({"$ref": "https://example.com/a.json"}, "outside"),
    "a part that is not there": ({"$ref": "#/$defs/missing"}, "outside"),
    "an endless circle": ({"$ref": "#"}, "itself"),
    "a kind from nowhere": ({"type": "tuple"}, "tuple"),
    "never": (False, "object"),
    "what is required but not described": (
        {"type": "object", "properties": {"a": {}}, "required": ["b"]},
        "requires b",
    ),
    "very long texts": ({"type": "string", "minLength": 100_000}, "minLength"),
    "a keyword beside a union": ({"anyOf": [{"type": "null"}], "minLength": 3}, "minLength"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_promised_is_refused_by_name(name: str) -> None:
    schema, word = REFUSED[name]
    with pytest.raises(WrongUsage, match=word):
        grammar_of(json.dumps(schema))


def test_a_schema_that_is_no_json_is_refused() -> None:
    for text in ("{", "", "[" * 100_000):
        with pytest.raises(WrongUsage):
            grammar_of(text)
    with pytest.raises(WrongUsage):
        schema_text({"enum": [object()]})


def test_nesting_and_size_have_an_end() -> None:
    deep: dict = {"type": "null"}
    for _ in range(MAX_DEPTH + 2):
        deep = {"type": "array", "items": deep}
    with pytest.raises(WrongUsage, match="deeply"):
        grammar_of(json.dumps(deep))
    wide = {"type": "object", "properties": {f"p{n}": {"type": "null"} for n in range(3000)}}
    with pytest.raises(WrongUsage):
        grammar_of(json.dumps(wide))
    with pytest.raises(WrongUsage, match="characters"):
        grammar_of(json.dumps({"enum": ["x" * 70_000]}))


def test_words_for_people_are_no_constraint() -> None:
    assert grammar_of('{"type": "null", "title": "T", "default": 1}') == grammar_of(
        '{"type": "null"}'
    )
