"""The calls that answer prompts: one at a time, several together, or event by event."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import index
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, cast, overload

from pydantic import ValidationError

from deepseek_r1.core.errors import PromptTooLong, R1Error, WrongUsage
from deepseek_r1.core.events import GenerationEvent, ModelLoaded, PrefillProgress
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import (
    AnswerRequest,
    Message,
    PartialAnswer,
    PromptInput,
    RawPrompt,
    Role,
    message_from,
)
from deepseek_r1.core.settings import (
    LoadSettings,
    SamplingOptions,
    SamplingSettings,
    most_prompt_tokens,
)
from deepseek_r1.documents.attached_documents import add_documents
from deepseek_r1.documents.document_prompt import DocumentPrompt, plan
from deepseek_r1.documents.errors import ReadingStopped
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.documents.sources import SourcedAnswer
from deepseek_r1.engine.interface import Engine, GenerationResult
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.engine.output.schema import Schema, schema_json
from deepseek_r1.inference.generation import GenerationRunner

_SettingsT = TypeVar("_SettingsT", LoadSettings, SamplingSettings)
Prompt = str | Sequence[Message | Mapping[str, Any]] | RawPrompt
Documents = Sequence[str | Path] | str | Path


class SharedOptions(SamplingOptions, total=False):
    """The keywords that several answers may share, for type checkers."""

    sampling: SamplingSettings | None
    json_schema: Schema | None


class AnswerOptions(SharedOptions, total=False):
    """The keywords of one answer; see `CPUInference.generate`."""

    documents: Documents
    continues: PartialAnswer | None


def with_options(settings: LoadSettings, **options: Any) -> LoadSettings:
    """Return `settings` with the options that are not None. Raises WrongUsage."""
    return _changed(settings, {key: each for key, each in options.items() if each is not None})


def sampling_for(
    sampling: SamplingSettings | None,
    max_tokens: int | None,
    options: SamplingOptions | None = None,
) -> SamplingSettings:
    """Return `sampling` or the defaults, with `max_tokens` and `options` where given.

    Raises WrongUsage.
    """
    given: dict[str, Any] = dict(options or {})
    if max_tokens is not None:
        given["max_tokens"] = max_tokens
    return _changed(sampling or SamplingSettings(), given)


def _changed(settings: _SettingsT, given: dict[str, Any]) -> _SettingsT:
    try:
        return settings.model_validate(settings.model_dump() | given) if given else settings
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise WrongUsage(detail="; ".join(faults)) from error


def is_list_of_prompts(prompt: object) -> bool:
    """Return whether `prompt` holds several prompts: texts, conversations or raw prompts."""
    if isinstance(prompt, str) or not isinstance(prompt, Sequence):
        return False
    return not prompt or not isinstance(prompt[0], Message | Mapping)


def as_messages(prompt: Prompt) -> PromptInput:
    """Return the prompt as messages; a plain text becomes one of the user's.

    Raises WrongUsage for an empty conversation and for anything else.
    """
    if isinstance(prompt, RawPrompt):
        return prompt
    if isinstance(prompt, str):
        return [Message(role=Role.USER, content=prompt)]
    if not isinstance(prompt, Sequence):
        raise WrongUsage(
            detail=tr(
                "A prompt is a text or a list of messages, not of the type {type}.",
                type=type(prompt).__name__,
            )
        )
    if not prompt:
        raise WrongUsage(detail=tr("There is no message to answer."))
    return [_as_message(each) for each in prompt]


def _as_message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, Mapping):
        return message_from(given)
    raise WrongUsage(detail=tr("A list must hold either texts or messages, not both."))


def checked_prompts(
    engine: Engine, context_length: int, prompts: Sequence[Prompt]
) -> list[PromptInput | R1Error]:
    """Return each prompt as messages, or the error of one that cannot be answered."""
    outcomes: list[PromptInput | R1Error] = []
    for prompt in prompts:
        try:
            messages = as_messages(prompt)
            tokens = engine.count_tokens(messages, most_tokens=context_length)
            if tokens + 1 > context_length:
                raise PromptTooLong(tokens=tokens, context=context_length)
            outcomes.append(messages)
        except R1Error as error:
            outcomes.append(error)
    return outcomes


class PromptCalls(GenerationRunner):
    """The calls of `CPUInference` that take prompts and texts."""

    loaded: ModelLoaded
    _reading_memory: ReadingMemory
    _documents: DocumentIndex | None = None  # those that were asked about

    @overload
    def generate(
        self,
        prompt: str | Sequence[Message | Mapping[str, Any]] | RawPrompt,
        max_tokens: int | None = None,
        **options: Unpack[AnswerOptions],
    ) -> str: ...

    @overload
    def generate(
        self,
        prompt: list[str] | tuple[str, ...],
        max_tokens: int | None = None,
        **options: Unpack[AnswerOptions],
    ) -> list[str]: ...

    def generate(
        self,
        prompt: Prompt | Sequence[Prompt],
        max_tokens: int | None = None,
        **options: Unpack[AnswerOptions],
    ) -> str | list[str]:
        """Return the answer without the thinking; for a list of prompts, the list of their answers.

        A prompt is a text, a conversation (messages, or dicts with `role` and `content`) or a
        `RawPrompt`. `max_tokens` and fields of `SamplingSettings` (`temperature=0`, `stop="###"`,
        ...) override `sampling`. With a `json_schema`, or a class of pydantic's in its place, the
        answer is JSON that validates, unless `max_tokens` cuts it off; see `output.schema` for what
        a schema may contain. `documents` are files and folders that the question is about: all of
        their text is sent where it fits into the context, found passages otherwise, and the answer
        is asked to cite them as [n]; see `sources` of `complete`. `continues` is for `stream`.
        Raises PromptTooLong, WrongUsage, EngineBusy, EngineFailed, and DocumentRefused for a file
        that cannot be read.
        """
        if not is_list_of_prompts(prompt):
            return self.complete(cast(Prompt, prompt), max_tokens, **options).text
        prompts = cast(Sequence[Prompt], prompt)
        if options.get("documents") or options.get("continues"):
            with self._stoppable():
                return [self.complete(each, max_tokens, **options).text for each in prompts]
        of_one = ("documents", "continues")
        shared = cast(SharedOptions, {k: v for k, v in options.items() if k not in of_one})
        return [each.text for each in self.complete_many(prompts, max_tokens, **shared)]

    def complete(
        self, prompt: Prompt, max_tokens: int | None = None, **options: Unpack[AnswerOptions]
    ) -> GenerationResult:
        """Return the whole answer with its thinking and its stats, and the sources of documents.

        The options are those of `generate`. With `continues`, as in `stream`, only what follows it.
        """
        collector = ResultCollector()
        for event in self.stream(prompt, max_tokens, **options):
            collector.add(event)
        return collector.result()

    def stream(
        self,
        prompt: Prompt,
        max_tokens: int | None = None,
        *,
        text_every_s: float = 0.0,
        **options: Unpack[AnswerOptions],
    ) -> Iterator[GenerationEvent]:
        """Generate the answer as events. The last event, and only that, is a GenerationFinished.

        The options are those of `generate`. A `cancel` counts from this call on, even before the
        first event is requested. Dropping the iterator ends the answer. `continues` is an answer to
        the same prompt that ended early: the events have what follows it. Its tokens are computed
        again only where the cells do not hold them any more. `text_every_s`: a fast model's text
        comes in events at least this far apart.
        """
        documents, continues = options.pop("documents", ()), options.pop("continues", None)
        schema = options.pop("json_schema", None)
        text = schema_json(schema) if schema is not None else ""
        chosen = sampling_for(options.pop("sampling", None), max_tokens, options)
        messages, planned = as_messages(prompt), None
        with self._stoppable() as stop:
            if documents or documents == "":
                with suppress(ReadingStopped):  # then the answer ends when it begins
                    planned = self._with_documents(messages, documents, chosen, stop)
                    messages = planned.messages
            answer = AnswerRequest(messages, chosen, text, continues, text_every_s)
            events = self._stream_answer(answer, stop)
        if planned is None:
            return events
        return map(SourcedAnswer(planned.sources, planned.asked, continues), events)

    def _with_documents(
        self,
        messages: PromptInput,
        documents: Documents,
        sampling: SamplingSettings,
        stop: threading.Event,
    ) -> DocumentPrompt:
        if isinstance(messages, RawPrompt):
            raise WrongUsage(detail=tr("A raw prompt has no documents."))
        paths = (documents,) if isinstance(documents, str | Path) else documents
        if "" in paths:
            raise WrongUsage(detail=tr("A document's name is empty."))
        index = self._documents = self._documents or DocumentIndex()
        added = (
            add_documents(index, each, stop=stop, memory=self._reading_memory) for each in paths
        )
        hashes = dict.fromkeys(chain.from_iterable(added))
        facts = self.loaded.facts
        most = most_prompt_tokens(facts.context_length, sampling.max_tokens)
        compares = bool(facts.embedding_model)
        return plan(index, list(hashes), messages, most, self, compares=compares)

    def answer(self, request: AnswerRequest) -> Iterator[GenerationEvent]:
        """Generate the answer as events, as `stream` does, to a request that is complete."""
        as_messages(request.messages)  # raises WrongUsage for an empty conversation
        return self._stream_answer(request, threading.Event())

    @overload
    def complete_many(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int | None = None,
        *,
        return_exceptions: Literal[False] = False,
        **options: Unpack[SharedOptions],
    ) -> list[GenerationResult]: ...

    @overload
    def complete_many(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int | None = None,
        *,
        return_exceptions: bool,
        **options: Unpack[SharedOptions],
    ) -> list[GenerationResult | R1Error]: ...

    def complete_many(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int | None = None,
        *,
        return_exceptions: bool = False,
        **options: Unpack[SharedOptions],
    ) -> Sequence[GenerationResult | R1Error]:
        """Return the whole answers to several prompts, up to `batch_size` of them together.

        With `return_exceptions` a prompt that cannot be answered has its error in the list;
        otherwise the first such error is raised before anything is computed.
        """
        schema = options.pop("json_schema", None)
        chosen = sampling_for(options.pop("sampling", None), max_tokens, options)
        answers: list[GenerationResult] = []
        with self._stoppable() as stop:
            with self._held_engine() as engine:
                stop.clear()  # as there, a cancel counts from here on
                outcomes = checked_prompts(engine, self.loaded.facts.context_length, prompts)
                refused = next((each for each in outcomes if isinstance(each, R1Error)), None)
                if refused is not None and not return_exceptions:
                    raise refused
                accepted = [each for each in outcomes if not isinstance(each, R1Error)]
                if schema is None and accepted:
                    answers = engine.complete_many(accepted, chosen)
            if schema is not None:  # each answer has its own grammar: one after the other
                answers = [self.complete(p, sampling=chosen, json_schema=schema) for p in accepted]
        in_order = iter(answers)
        return [each if isinstance(each, R1Error) else next(in_order) for each in outcomes]

    def prepare(
        self, prompt: Prompt, *, owner: str = "", compute: bool = True
    ) -> Iterator[PrefillProgress]:
        """Prepare the next turn of a conversation before its message exists.

        Tokens on the disk are restored, the rest is computed if `compute`, and segments that the
        disk lacks are written for `owner`. The last event has `done` of `total` tokens. A `cancel`
        ends it. Raises EngineBusy, TemplateUnusable, EngineFailed.
        """
        messages = as_messages(prompt)
        if isinstance(messages, RawPrompt):
            raise WrongUsage(detail=tr("A raw prompt has no next turn to prepare."))
        engine = self._require_engine()
        self._lock.require_free()
        engine.reset_cancel()
        return self._preparing(engine, messages, owner, compute=compute)

    def count_tokens(self, messages: Prompt) -> int:
        """Return the length in tokens of the prompt that these messages make, template included."""
        prompt = as_messages(messages)
        with self._read_engine() as engine:
            return engine.count_tokens(prompt)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text alone; with `special`, markers become control tokens."""
        with self._read_engine() as engine:
            return engine.tokenize(text, special=special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. Control tokens have none; a broken character is U+FFFD.

        Raises WrongUsage for a token that does not exist.
        """
        try:
            ids = [index(token) for token in tokens]
        except TypeError:
            raise WrongUsage(detail=tr("A token is a whole number.")) from None
        with self._read_engine() as engine:
            return engine.token_bytes(ids).decode("utf-8", "replace")
