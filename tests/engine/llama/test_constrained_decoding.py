"""Answers held to a schema: whatever is drawn, it is JSON and validates. The thinking is free."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineFailed, WrongUsage
from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.answer.samplers import SamplerPair
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.generation_output import GenerationOutput

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
    "characters without tokens": ({"enum": ["\U00040000"]}, lambda v: v == "\U00040000"),
    "half a character": ({"enum": ["\ud800"]}, lambda v: v == "\ud800"),
    "empty list": ({"type": "array", "maxItems": 0}, lambda v: v == []),
    "nothing else": ({"type": "object", "additionalProperties": False}, lambda v: v == {}),
}


@pytest.fixture(scope="module")
def model(starter: Path) -> Iterator[CPUInference]:
    with CPUInference(starter, context_length=1024) as loaded:
        yield loaded


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("temperature", [0.0, pytest.param(2.0, marks=pytest.mark.slow)])
def test_the_answer_parses_and_validates(model, name, temperature):
    schema, validates = CASES[name]
    for seed in range(3 if temperature else 1):  # at 0 each try gives the same
        sampling = SamplingSettings(temperature=temperature, seed=seed, max_tokens=80)
        answer = model.complete("Say something as JSON.", sampling=sampling, json_schema=schema)
        if answer.stats.finish_reason is FinishReason.STOP:
            assert validates(json.loads(answer.text)), answer.text
            return
    assert temperature == 0.0  # the likeliest answer may be one that does not end


def test_a_schema_that_cannot_be_kept_to_is_refused_before_any_work(model: CPUInference) -> None:
    with pytest.raises(WrongUsage, match="pattern"):
        model.stream("a", json_schema={"type": "string", "pattern": "^a$"})
    choices = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(15)}
    choices["d15"] = {"type": "null"}
    with pytest.raises(WrongUsage, match="too large"):  # llama.cpp would walk 10 ** 15 paths
        model.complete("a", json_schema={"$defs": choices, "$ref": "#/$defs/d0"})


@pytest.mark.parametrize("before", ["", '"a" '])
def test_a_grammar_that_leaves_no_token_ends_the_answer_and_not_the_process(
    model: CPUInference, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        grammar = f'root ::= {before}"\U00040000"'
        patch.setattr(f"{SamplerPair.__module__}.schema_grammar", lambda _schema: grammar)
        with pytest.raises(EngineFailed, match="leaves no token"):
            model.complete("a", 8, json_schema={"type": "null"})
    assert model.generate("a", 8, json_schema={"type": "null"}).strip() == "null"


def pair(starter_weights: LlamaModel, *, thinking_open: bool) -> SamplerPair:
    settings, schema = SamplingSettings(temperature=0.0), '{"const": 7}'
    return SamplerPair(
        library(),
        settings,
        starter_weights,
        None,
        schema,
        thinking_open=thinking_open,
        reasons=True,
    )


def test_a_grammar_that_is_not_accepted_leaves_no_sampler_behind(starter_weights, monkeypatch):
    freed: list[object] = []
    monkeypatch.setattr(f"{SamplerPair.__module__}.schema_grammar", lambda _schema: "no grammar")
    monkeypatch.setattr(library().api, "llama_sampler_free", freed.append)
    with pytest.raises(EngineFailed):
        pair(starter_weights, thinking_open=False)
    assert len(freed) == 2


def test_the_thinking_is_free_and_the_answer_after_it_constrained(starter_weights):
    with closing(pair(starter_weights, thinking_open=True)) as samplers:
        output = GenerationOutput(thinking_open=True, started=time.perf_counter())
        free = samplers.chain
        for text in (b"Seven {is} my", b" number", b".</thi", b"nk>"):
            assert samplers.until_answer
            assert samplers.chain is free
            output.on_token(text)
            samplers.on_output(output)
        assert samplers.chain is not free
        assert not samplers.until_answer


def test_a_model_that_need_not_think_is_constrained_from_its_first_token(starter_weights):
    with closing(pair(starter_weights, thinking_open=False)) as samplers:
        free = samplers.chain
        sampled = iter([5, 7])
        samplers._sample = lambda _row: next(sampled)
        assert samplers.sample(-1) == 7
        assert samplers.chain is not free
