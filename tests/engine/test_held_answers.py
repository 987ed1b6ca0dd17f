"""Answers held to a schema: whatever is drawn, it is JSON and validates. The thinking is free."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.answer import AnswerWriter
from deepseek_r1.engine.llama.pens import Pens

pytestmark = pytest.mark.native

NODE = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "next": {"$ref": "#/$defs/node"}},
    "required": ["name"],
}
CASES = {
    "person": (
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 12},
                "名字": {"enum": ['an "odd" one', "zwei\nZeilen", "\\", 3, None]},
                "age": {"type": "integer", "minimum": 0, "maximum": 120},
                "tags": {"type": "array", "items": {"const": "x"}, "minItems": 2, "maxItems": 3},
                "note": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            },
            "required": ["name", "名字", "tags"],
        },
        lambda v: (
            1 <= len(v["name"]) <= 12
            and v["名字"] in ('an "odd" one', "zwei\nZeilen", "\\", 3, None)
            and 0 <= v.get("age", 0) <= 120
            and 2 <= len(v["tags"]) <= 3
            and set(v["tags"]) == {"x"}
            and v.get("note", None) in (True, False, None)
            and list(v) == [k for k in ("name", "名字", "age", "tags", "note") if k in v]
        ),
    ),
    "only optional": (
        {"properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}},
        lambda v: set(v) <= {"a", "b", "c"},
    ),
    "date": ({"type": "string", "format": "date"}, lambda v: time.strptime(v, "%Y-%m-%d")),
    "union of types": (
        {"type": ["integer", "boolean"], "minimum": 3, "maximum": 4},
        lambda v: v in (3, 4, True, False),
    ),
    "a list that contains its like": (
        {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
        lambda v: len(v["name"]) <= 8 and isinstance(v.get("next", {}), dict),
    ),
    "fixed": ({"const": {"a": [1, "é"]}}, lambda v: v == {"a": [1, "é"]}),
    "empty list": ({"type": "array", "maxItems": 0}, lambda v: v == []),
    "nothing else": ({"type": "object", "additionalProperties": False}, lambda v: v == {}),
}


@pytest.fixture(scope="module")
def model(starter: Path) -> Iterator[CPUInference]:
    with CPUInference(starter, context_length=1024) as loaded:
        yield loaded


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_the_answer_parses_and_validates(
    model: CPUInference, name: str, temperature: float
) -> None:
    schema, validates = CASES[name]
    complete = 0
    for seed in range(3):
        sampling = SamplingSettings(temperature=temperature, seed=seed, max_tokens=120)
        answer = model.complete("Say something as JSON.", sampling=sampling, json_schema=schema)
        if answer.stats.finish_reason is FinishReason.STOP:
            complete += 1
            assert validates(json.loads(answer.text)), answer.text
        if temperature == 0.0:
            break
    assert complete or (temperature == 0.0 and name == "a list that contains its like")


def test_each_prompt_of_a_list_is_held(model: CPUInference) -> None:
    answers = model.generate(["a", "b"], 20, json_schema={"enum": ["yes", "no"]})
    assert [json.loads(answer) in ("yes", "no") for answer in answers] == [True, True]


def test_a_schema_that_cannot_be_kept_to_is_refused_before_any_work(model: CPUInference) -> None:
    with pytest.raises(WrongUsage, match="pattern"):
        model.stream("a", json_schema={"type": "string", "pattern": "^a$"})


def test_the_thinking_is_free_and_the_answer_behind_it_held(model: CPUInference) -> None:
    engine = model._engine
    settings, schema = SamplingSettings(temperature=0.0), '{"const": 7}'
    pens = Pens(engine._library, settings, engine._model, schema, opened=True, reasons=True)
    writer, free = AnswerWriter(opened=True, started=time.perf_counter()), pens.chain
    for piece in (b"Seven {is} my", b" number", b".</thi", b"nk>"):
        writer.took(piece)
        assert pens.waiting
        before = pens.chain
        pens.turn(writer)
        assert before is free
    assert pens.chain is not free
    assert not pens.waiting
    pens.close()


def test_a_model_that_need_not_think_is_held_from_its_first_token(model: CPUInference) -> None:
    engine = model._engine
    settings, schema = SamplingSettings(temperature=0.0), '{"const": 7}'
    pens = Pens(engine._library, settings, engine._model, schema, opened=False, reasons=True)
    free = pens.chain
    assert pens.undecided
    assert not pens.thinks(first=5)
    assert pens.chain is not free
    pens.close()
