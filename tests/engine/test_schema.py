"""A JSON schema becomes a grammar, or is refused by the keyword that no grammar can promise."""

import json

import pytest
from pydantic import BaseModel

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.engine.output.schema import MAX_DEPTH, schema_grammar, schema_json

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
    "a circle through a choice": ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "itself"),
    "a list of kinds with a list in it": ({"type": ["string", ["x"]]}, "unknown type"),
    "a requirement that is no name": (
        {"type": "object", "properties": {"a": {}}, "required": [{"a": 1}]},
        "required",
    ),
    "not a number": ({"const": float("nan")}, "NaN"),
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
        schema_grammar(json.dumps(schema))


def test_a_schema_that_is_no_json_is_refused() -> None:
    for text in ("{", "", "[" * 100_000):
        with pytest.raises(WrongUsage):
            schema_grammar(text)
    with pytest.raises(WrongUsage):
        schema_json({"enum": [object()]})


def test_a_schema_may_refer_to_itself_inside_brackets() -> None:
    tree = {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}}]}
    assert "root ::=" in schema_grammar(json.dumps(tree))


def test_nesting_and_size_have_an_end() -> None:
    deep: dict = {"type": "null"}
    for _ in range(MAX_DEPTH + 2):
        deep = {"type": "array", "items": deep}
    with pytest.raises(WrongUsage, match="deeply"):
        schema_grammar(json.dumps(deep))
    wide = {"type": "object", "properties": {f"p{n}": {"type": "null"} for n in range(3000)}}
    with pytest.raises(WrongUsage):
        schema_grammar(json.dumps(wide))
    with pytest.raises(WrongUsage, match="characters"):
        schema_grammar(json.dumps({"enum": ["x" * 70_000]}))


def test_annotations_are_no_constraint() -> None:
    assert schema_grammar('{"type": "null", "title": "T", "default": 1}') == schema_grammar(
        '{"type": "null"}'
    )


def test_a_class_of_pydantic_stands_for_its_schema() -> None:
    class City(BaseModel):
        name: str
        people: int

    assert json.loads(schema_json(City)) == City.model_json_schema()
