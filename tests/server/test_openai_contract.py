"""The real `openai` client against a real server: shapes and behaviour."""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from support.servers import RunningServer

pytestmark = pytest.mark.integration

HI = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def served(shallow_starter: Path) -> Path:
    return shallow_starter


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with server.client() as client:
        yield client


@pytest.fixture
def model(client: openai.OpenAI) -> str:
    return client.models.list().data[0].id


@pytest.fixture
def chat(client: openai.OpenAI, model: str) -> Callable[..., Any]:
    """Asks the model to say hello, unless it is given other messages."""
    return partial(client.chat.completions.create, model=model, messages=HI)


def test_the_model_is_listed_with_its_context(client: openai.OpenAI, model: str):
    found = client.models.retrieve(model)
    assert (found.id, found.object) == (model, "model")
    assert found.max_model_len == 1024
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_a_chat_completion_has_text_reason_and_usage(chat):
    answer = chat(max_tokens=5, temperature=0)
    choice = answer.choices[0]
    assert answer.object == "chat.completion"
    assert (choice.message.role, choice.finish_reason) == ("assistant", "length")
    assert choice.message.content
    usage = answer.usage
    assert usage.completion_tokens == 5
    assert usage.total_tokens == usage.prompt_tokens + 5
    assert usage.completion_tokens_details.reasoning_tokens == 0
    again = chat(max_tokens=5, temperature=0)
    assert again.usage.prompt_tokens_details.cached_tokens > 0


def test_a_stream_has_one_id_and_its_reason_in_the_last_chunk(chat):
    stream = chat(
        max_completion_tokens=8,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    assert {chunk.id for chunk in [*chunks, last]} == {last.id}
    assert {chunk.created for chunk in chunks} == {last.created}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices[0].finish_reason in ("length", "stop")
    assert last.choices == []
    assert last.usage.completion_tokens <= 8
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    whole = chat(max_tokens=8, temperature=0)
    assert text
    assert whole.choices[0].message.content[:4] == text[:4]


def test_usage_comes_with_a_stream_only_where_it_is_asked_for(chat):
    stream = chat(max_tokens=2, stream=True)
    assert all(chunk.choices and chunk.usage is None for chunk in stream)


def test_an_answer_ends_before_a_stop_sequence(chat):
    answer = chat(stop=["two"], response_format=schema({"const": "one two three"}))
    assert answer.choices[0].message.content.strip() == '"one'
    assert answer.choices[0].finish_reason == "stop"


def schema(of: dict[str, object]) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": {"name": "it", "schema": of, "strict": True}}


def test_an_answer_follows_its_schema(chat):
    person = {
        "type": "object",
        "properties": {"name": {"enum": ["Ann", "Bob"]}, "age": {"enum": [31, 32]}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    answer = chat(response_format=schema(person))
    found = json.loads(answer.choices[0].message.content)
    assert found["name"] in ("Ann", "Bob")
    assert found["age"] in (31, 32)
    with pytest.raises(openai.BadRequestError) as refused:
        chat(response_format=schema({"type": "string", "pattern": "a"}))
    assert refused.value.param == "response_format"


def test_log_probabilities_make_the_text(chat):
    answer = chat(max_tokens=4, temperature=0, logprobs=True, top_logprobs=2)
    content = answer.choices[0].logprobs.content
    assert "".join(each.token for each in content) == answer.choices[0].message.content
    assert all(len(each.top_logprobs) == 2 and each.logprob <= 0 for each in content)


def test_content_may_come_in_parts_and_an_empty_answer_at_the_end(chat):
    parts = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello."}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": ""}]
    whole = chat(max_tokens=1)
    answer = chat(messages=messages, max_tokens=1)
    assert answer.usage.prompt_tokens == whole.usage.prompt_tokens


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 17),
        ("functions", [{"name": "f", "parameters": {}}]),
        ("temperature", 9.0),
        ("response_format", {"type": "grammar"}),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
        ("messages", []),
        ("logit_bias", {"99999999": 1}),
        ("stop", [""]),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(chat, field, value):
    request = {"max_tokens": 1, "extra_body": {field: value}}
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refused:
            chat(**request, stream=stream)
        assert refused.value.type == "invalid_request_error"
        assert field in f"{refused.value.param} {refused.value}"


def test_several_answers_to_one_prompt_have_their_own_numbers_and_seeds(chat):
    ask = partial(chat, max_tokens=8)
    one = ask(seed=7, temperature=1.5)
    three = ask(seed=7, temperature=1.5, n=3)
    texts = [choice.message.content for choice in three.choices]
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert texts[0] == one.choices[0].message.content
    assert len(set(texts)) == 3
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    streamed = ["", "", ""]
    for chunk in ask(seed=7, temperature=1.5, n=3, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == texts


@pytest.mark.parametrize("stream", [False, True])
def test_an_echo_begins_with_the_prompt(server, client, model, stream):
    with server.http() as http:
        tokens = http.post("/tokenize", json={"content": "Three, four,"}).json()["tokens"]
    for prompt, text in (("One, two,", "One, two,"), (tokens, "Three, four,")):
        ask = partial(client.completions.create, model=model, prompt=prompt, temperature=0)
        plain = ask(max_tokens=4).choices[0].text
        echoed = ask(max_tokens=4, echo=True, stream=stream)
        whole = "".join(each.choices[0].text for each in ([echoed], echoed)[stream])
        assert whole == text + plain


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def test_a_history_with_tools_goes_on(chat):
    result = {"role": "tool", "tool_call_id": "c1", "content": "eighteen degrees"}
    history = [*HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}, result]
    ask = partial(chat, max_tokens=1)
    answer = ask(messages=[*history, *HI])
    assert answer.usage.prompt_tokens > ask(messages=[*history[:2], *HI]).usage.prompt_tokens
    for wrong in ([1], [{"function": "f"}], [CALL | {"function": {"arguments": "{}"}}]):
        with pytest.raises(openai.BadRequestError, match="a name and arguments"):
            ask(messages=[*HI, {"role": "assistant", "content": None, "tool_calls": wrong}, *HI])


def test_more_messages_than_the_context_holds_are_a_bad_request(server: RunningServer):
    with server.http() as http:
        refused = http.post("/v1/chat/completions", json={"messages": HI * 20_000})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
    assert "the context holds 1,024" in refused.json()["error"]["message"]


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.mark.parametrize("choice", [{}, {"tool_choice": "auto"}, {"tool_choice": "none"}])
def test_tools_that_need_not_be_called_change_nothing_and_a_warning_says_so(chat, choice):
    """Open WebUI offers its tools with every message."""
    ask = partial(chat, temperature=0)
    answer = ask(max_tokens=8, tools=TOOLS, **choice)
    assert answer.usage.prompt_tokens == ask(max_tokens=8).usage.prompt_tokens
    assert answer.choices[0].message.tool_calls is None
    *_, last = ask(max_tokens=1, tools=TOOLS, stream=True, **choice)
    for each in (answer, last):
        assert ("call no tools" in str(each.model_extra)) == (choice != {"tool_choice": "none"})


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_tools_that_have_to_be_called_are_refused(chat, choice):
    with pytest.raises(openai.BadRequestError, match="calls no tools") as refused:
        chat(tools=TOOLS, tool_choice=choice)
    assert refused.value.param == "tool_choice"


def test_unknown_fields_are_ignored(chat):
    answer = chat(
        max_tokens=1,
        extra_body={"metadata": {"a": "b"}, "store": True, "new_in_2030": [1]},
    )
    assert answer.choices


def test_a_prompt_that_is_too_long_is_a_bad_request(chat):
    messages = [{"role": "user", "content": "word " * 3000}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refused:
            chat(messages=messages, stream=stream)
        assert refused.value.code == "context_length_exceeded"


def test_texts_are_continued(client: openai.OpenAI, model: str):
    answer = client.completions.create(
        model=model, prompt=["One, two,", "The capital of France is"], max_tokens=4, logprobs=1
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage.completion_tokens <= 8
    logprobs = answer.choices[0].logprobs
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert logprobs.text_offset[0] == 0


def test_tokens_are_a_prompt_as_well(server: RunningServer, client: openai.OpenAI, model: str):
    with server.http() as http:
        tokens = http.post("/tokenize", json={"content": "One, two,"}).json()["tokens"]
        assert http.post("/detokenize", json={"tokens": tokens}).json()["content"] == "One, two,"
    by_tokens = client.completions.create(model=model, prompt=tokens, max_tokens=1)
    assert by_tokens.usage.prompt_tokens == len(tokens)


def test_embeddings_come_as_numbers(client: openai.OpenAI, model: str):
    answer = client.embeddings.create(model=model, input=["a cat", "tax law"])
    first, second = (each.embedding for each in answer.data)
    assert math.isclose(sum(x * x for x in first), 1.0, rel_tol=1e-3)
    assert first != second
    plain = client.embeddings.create(model=model, input="a cat", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(first, abs=1e-2)


def test_embeddings_of_tokens_are_those_of_their_text(server, client, model):
    with server.http() as http:
        tokens = http.post("/tokenize", json={"prompt": "a cat"}).json()["tokens"]
    text, of_tokens = (
        client.embeddings.create(model=model, input=given).data[0].embedding
        for given in ("a cat", [tokens, tokens[:1]])
    )
    assert of_tokens == pytest.approx(text, abs=1e-2)
    with pytest.raises(openai.BadRequestError, match="Control tokens alone have no text"):
        client.embeddings.create(model=model, input=[0])
