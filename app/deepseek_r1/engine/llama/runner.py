"""Implements `Engine` with llama.cpp: prefill, decode, and what happens between computations."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineFailed, ModelFileDamaged, PromptTooLong, WrongUsage
from deepseek_r1.core.events import FinishReason, GenerationEvent, PrefillProgress, WeightsStats
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import AnswerRequest, Message, PromptInput, RawPrompt, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.interface import GenerationResult, OpenRequest, engine_name
from deepseek_r1.engine.llama.answer.answer import Answer, AnswerParts, RecentAnswers
from deepseek_r1.engine.llama.answer.answer_decoding import AnswerDecoder, DecodeLoop
from deepseek_r1.engine.llama.batching import SequenceBatch, answer_all
from deepseek_r1.engine.llama.binding.context import AbortedError, ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.graphics_device import opened_device
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.computing import (
    Computing,
    KvReclaim,
    make_kv_memory,
    make_streamed_weights,
)
from deepseek_r1.engine.llama.embedding_model import EmbeddingModel
from deepseek_r1.engine.llama.prefill import NextTurn, PromptPrefill
from deepseek_r1.engine.llama.prompt_cache.prefix_cache import prefix_cache
from deepseek_r1.engine.llama.speculative.drafting import Drafting, DraftMemory, open_draft
from deepseek_r1.engine.llama.threads import EngineThreads
from deepseek_r1.engine.output.reasoning import THINK
from deepseek_r1.engine.prompt.prompt_builder import PromptBuilder
from deepseek_r1.engine.prompt.template import open_template
from deepseek_r1.memory.cost_model import chunk_bytes, draft_tokens, recurrent
from deepseek_r1.memory.plan import DECODE_ROWS, decode_rows, with_precision
from deepseek_r1.weights.direct_file import WeightsUnreadableError
from deepseek_r1.weights.ggml.buffer_type import KVMemory
from deepseek_r1.weights.residency import Residency, plan_residency

_LONG_INSTRUCTIONS = 256  # characters: shorter ones are read again as soon


class LlamaEngine:
    """An `engine.interface.Engine`; see there for the contract and its threads."""

    def __init__(self, request: OpenRequest) -> None:
        """Load the weights and create the context. Raises ModelRefused, EngineStartFailed."""
        slow_f16 = library().cpu_variant.converts_f16_slowly
        settings = with_precision(request.settings, slow_f16=slow_f16, header=request.header)
        request = replace(request, settings=settings)
        with ExitStack() as opened:
            memory = self._open(request, opened)
            self._assemble(request, memory)
            self._closing = opened.pop_all()

    def _open(self, request: OpenRequest, opened: ExitStack) -> KVMemory | None:
        """Load the other models and the weights, create the context, and return its cells' memory.

        `opened` gets what has to be closed.
        """
        self._library, settings = library(), request.settings
        template, self.template = open_template(request.header, request.chat_template)
        self.name = engine_name()
        self.reasons = template.reasons or THINK.open_tag in request.header.markers
        self.ignored: tuple[str, ...] = ()
        self._threads = EngineThreads(settings)
        threads = self._threads.applied
        self._device = opened_device() if request.graphics else None
        self._weights = make_streamed_weights(self._library, request)
        if self._weights is not None:
            opened.callback(self._weights.close)
        self._draft_memory = DraftMemory(
            open_draft(self._library, request, threads),
            request.residency,
            request.residency_without_draft,
            self._weights.set_residency if self._weights is not None else lambda _residency: None,
            lambda mib: plan_residency(request.header, mib, chunk_bytes=chunk_bytes(settings)),
        )
        opened.callback(self._draft_memory.close)
        self._draft_was_released = request.draft_released
        self._embedding_model = None
        if (embedding := request.embedding_model) is not None:
            self._embedding_model = EmbeddingModel(
                self._library, embedding, threads[1], lambda _fraction: request.on_progress(0.0)
            )
            opened.callback(self._embedding_model.close)
        self._model = LlamaModel(
            self._library,
            request.header.parts,
            request.on_progress,
            self._weights,
            repack=request.repacks,
            form=template.form,
        )
        opened.callback(self._model.close)
        self._prompts = _usable_prompts(PromptBuilder(template, self._model), request)
        memory = make_kv_memory(self._library, self._weights, request)
        rows = decode_rows(settings)
        if request.sequences > 1 and not self._model.can_truncate:
            rows = 1  # a pass of several answers that is aborted is read again, never rolled back
        self._context = LlamaContext(
            self._library,
            self._model,
            ContextParams(
                context_length=settings.context_length,
                micro_batch=settings.micro_batch,
                kv_type=settings.kv_type,
                sequences=request.sequences,
                threads=threads[0],
                threads_prefill=threads[1],
                draft_tokens=draft_tokens(request.header, rows),
                snapshots=request.prompt_cache is not None,
                device=self._device,
                recurrent=not self._model.can_truncate and recurrent(request.header),
                kernel_rows=request.times.rows(request.header),
            ),
            self._weights,
            memory,
        )
        opened.callback(self._context.close)
        if not self._model.can_truncate and not draft_tokens(request.header, DECODE_ROWS):
            self.ignored = ("drafts",)
        return memory

    def _assemble(self, request: OpenRequest, memory: KVMemory | None) -> None:
        """Make what computes with the context."""
        self._measured = self._library.log.buffers_mib()
        kv_reclaim = None
        if memory is not None and self._weights is not None:
            kv_reclaim = KvReclaim(memory, self._weights, request, self._library.log)
        self._computing = computing = Computing(
            self._context, self._threads, self._draft_memory, self._weights, kv_reclaim
        )
        recent = RecentAnswers(self._model.token_text, self._prompts.form)
        self._parts = AnswerParts(
            self._library, self._model, computing, self._prompts, self.reasons, recent
        )
        self._loop = DecodeLoop(self._library, self._model, self._context)
        self._thinking_ended = False
        self._decoder: AnswerDecoder | None = None  # of the running answer
        self._batch: SequenceBatch | None = None  # while the context has its sequences
        prefixes = prefix_cache(self._library, request, self._model, computing)
        self._prefill = PromptPrefill(computing, prefixes)
        self._drafting = Drafting(request, self._context, self._draft_memory)
        self._next_turn = NextTurn(computing, prefixes, self._prefill)

    @property
    def last_progress(self) -> float:
        return self._computing.last_progress

    @property
    def threads(self) -> tuple[int, int]:
        return self._threads.counts

    @property
    def context_used(self) -> int:
        return self._context.used

    def measured_mib(self) -> Mapping[str, float]:
        """Return the sizes of llama.cpp's buffers; of pinned weights and slots where streamed."""
        sizes = dict(self._measured)
        if self._device is not None:
            sizes["graphics"] = self._device.memory_mib
        if (model := self._draft_memory.model) is not None:
            sizes["draft"] = model.measured_mib
        if self._embedding_model is not None:
            sizes["embedding"] = self._embedding_model.measured_mib
        if self._weights is not None:
            stats = self._weights.stats
            sizes.pop("weights", None)
            sizes |= {"pinned": stats.pinned_mib - stats.experts_mib, "slots": stats.slots_mib}
        return sizes

    @property
    def weights_stats(self) -> WeightsStats | None:
        return None if self._weights is None else self._weights.stats

    @property
    def draft_released(self) -> bool:
        return self._draft_memory.released or self._draft_was_released

    def set_residency(self, residency: Residency, without_draft: Residency | None = None) -> None:
        if self._weights is not None:
            self._draft_memory.set_residency(residency, without_draft)

    def apply_residency(self) -> None:
        if self._weights is not None:
            try:
                self._weights.apply_residency()
            except WeightsUnreadableError as error:
                log.engine.warning("the budget is in force with the next pass: %s", error)

    def limit_batch(self, tokens: int) -> None:
        self._context.batch_limit = max(1, min(tokens, self._context.params.micro_batch))

    def count_tokens(self, messages: PromptInput, *, most_tokens: int = 0) -> int:
        return len(self._prompts.build(messages, most_tokens=most_tokens)[0])

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return self._model.tokenize(text, special=special)

    def token_bytes(self, tokens: Sequence[int]) -> bytes:
        unknown = next((each for each in tokens if not 0 <= each < self._model.vocabulary), None)
        if unknown is not None:
            raise WrongUsage(detail=tr("The model has no token {id}.", id=unknown))
        return b"".join(map(self._model.piece, tokens))

    def cancel(self) -> None:
        self._computing.cancel()

    def end_thinking(self) -> None:
        self._thinking_ended = True
        if (decoder := self._decoder) is not None:
            decoder.end_thinking()

    def reset_cancel(self) -> None:
        self._thinking_ended = False
        self._computing.reset_cancel()

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        self._threads.set(threads, threads_prefill)

    def close(self) -> None:
        """Free the context, then the model it was created from, then its weights."""
        self._closing.close()
        self._weights = None

    # ---- one answer -------------------------------------------------------------------------

    def stream(self, request: AnswerRequest) -> Iterator[GenerationEvent]:
        """Prefill the tokens that the cache lacks, then decode."""
        self._leave_batch()
        self._drafting.free_slow_model()
        answer = Answer(self._parts, request)
        self._threads.begin_answer()
        with closing(answer.samplers):
            speculation = self._drafting.decoder(answer.tokens, request.sampling)
            decoder = AnswerDecoder(answer, self._loop, speculation)
            try:
                system_tokens = self._system_tokens(request.messages)
                reason = yield from self._prefill_and_decode(answer, decoder, system_tokens)
            finally:
                if speculation is not None:
                    self._drafting.end(speculation)
                self._remember(answer, decoder)
        counts = speculation.counts if speculation is not None else {}
        counts["draft_released"] = self.draft_released or self._drafting.was_slower
        yield from answer.finish(reason, self.context_used, **counts)

    def _system_tokens(self, messages: PromptInput) -> int:
        """Return with how many tokens each chat with these instructions begins.

        Only where that matters: where a recurrent state has to be kept there for others.
        """
        if self._context.checkpoints is None or isinstance(messages, RawPrompt):
            return 0
        first = messages[0]
        if first.role is not Role.SYSTEM or len(first.content) < _LONG_INSTRUCTIONS:
            return 0
        return len(self._prompts.build_prefix([first]))

    def _prefill_and_decode(
        self, answer: Answer, decoder: AnswerDecoder, system_tokens: int
    ) -> Generator[GenerationEvent, None, FinishReason]:
        self._decoder, tokens = decoder, answer.tokens
        if self._thinking_ended:  # before this answer was computed
            decoder.end_thinking()
        # Cells of an answer were not filled in whole pieces.
        whole_pieces = answer.sampling.reproducible and tokens == answer.prompt
        try:
            self._computing.begin_prefill(len(tokens) + DECODE_ROWS)
            yield from self._prefill.run(
                tokens, answer.output, whole_pieces=whole_pieces, system_tokens=system_tokens
            )
            return (yield from decoder.run())
        except AbortedError:
            return FinishReason.CANCELLED
        except Exception:
            yield from answer.output.finish(cut=True)  # the text before the failure
            raise
        finally:
            self._decoder = None

    def _remember(self, answer: Answer, decoder: AnswerDecoder) -> None:
        """Keep the tokens of an answer, so that it can be continued."""
        cells, prompt = self._context.cells, answer.prompt
        if cells[: len(answer.tokens)] == answer.tokens:  # else the prompt was not computed
            self._parts.recent.add(prompt, cells[len(prompt) :] + decoder.uncomputed)

    # ---- answers together, embeddings -------------------------------------------------------

    def complete_many(
        self, prompts: Sequence[PromptInput], sampling: SamplingSettings
    ) -> list[GenerationResult]:
        return answer_all(self.open_batch(), prompts, sampling)

    def open_batch(self) -> SequenceBatch:
        """Return the batch, with the cells of its last answers if nothing came between."""
        if self._batch is None:
            self._drafting.free_slow_model()
            self._context.clear()
            self._batch = SequenceBatch(self._parts)
        self._computing.begin_prefill(self._context.params.context_length)
        return self._batch

    def _leave_batch(self) -> None:
        """Free the batch's cells: what follows has the context to itself."""
        if self._batch is not None:
            self._batch = None
            self._context.clear()

    def embed(self, text: str) -> list[float]:
        """Return the text's embedding by the embedding model, else by the chat model.

        That is the output of the last layer for the last token, scaled to length 1.
        """
        if self._embedding_model is not None:
            return self._embedding_model.embed(text)
        length = self._context.params.context_length
        prompt = self._prompts.build(RawPrompt(text=text), most_tokens=length)[0]
        if not prompt:
            raise WrongUsage(detail=tr("The text to embed is empty."))
        if len(prompt) > length:
            raise PromptTooLong(tokens=len(prompt), context=length)
        self._computing.begin_prefill(len(prompt))
        self._leave_batch()
        self._context.clear()
        try:
            for _ in self._prefill.compute(prompt[:-1]):
                pass
            self._computing.poll()
            return self._context.compute_embedding(prompt[-1])
        except AbortedError:
            raise EngineFailed(detail=tr("it was stopped")) from None

    def similarities(self, question: str, passages: Sequence[str]) -> list[float]:
        """Compare passages with a question; between two of them a cancel counts."""
        if self._embedding_model is None:
            raise WrongUsage(detail=tr("No embedding model is loaded."))
        found = []
        for each in self._embedding_model.similarities(question, passages):
            found.append(each)
            self._computing.last_progress = time.monotonic()
            if self._computing.cancelled:
                raise EngineFailed(detail=tr("it was stopped"))
        return found

    # ---- the next turn ----------------------------------------------------------------------

    def prepare(
        self, messages: Sequence[Message], *, owner: str, compute: bool
    ) -> Iterator[PrefillProgress]:
        """Restore and prefill the prefix of the next prompt, with half the threads."""
        self._leave_batch()
        self._drafting.free_slow_model()
        prefix = self._prompts.build_prefix(messages)
        if len(prefix) + 1 <= self._context.params.context_length:
            yield from self._next_turn.prepare(prefix, owner, compute=compute)

    def save_prompt(self, seconds: float) -> None:
        self._next_turn.save(seconds)


def _usable_prompts(prompts: PromptBuilder, request: OpenRequest) -> PromptBuilder:
    """Check that template and vocabulary make a prompt at all. Raises ModelFileDamaged."""
    if not prompts.build([Message(role=Role.USER, content="Hello")])[0]:
        detail = tr("its template and its vocabulary make an empty prompt")
        raise ModelFileDamaged(path=str(request.header.path), detail=detail)
    return prompts
