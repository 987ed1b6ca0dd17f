"""A second model that embeds texts, for comparing passages of documents with a question."""

import ctypes
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from operator import mul

from deepseek_r1.core.errors import EngineFailed, ModelLoadFailed, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.llama.binding.context import default_context_params
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.formats.header import ModelHeader
from deepseek_r1.memory.load_plan import EMBEDDING_TOKENS
from deepseek_r1.weights.ggml.buffer_type import BufferInterceptor
from deepseek_r1.weights.ggml.tensor_layout import Ggml

# E5 was trained with these before questions and passages; no key of a file says so.
_E5 = re.compile(r"(?<![a-z\d])e5(?![a-z\d])", re.IGNORECASE)


class EmbeddingModel:
    """Owns an encoder and its context. For the computing thread."""

    def __init__(
        self,
        library: Library,
        header: ModelHeader,
        threads: int,
        on_progress: Callable[[float], bool],
    ) -> None:
        """Load the weights. Raises ModelLoadFailed, LoadStopped, StreamingUnavailable."""
        self._api = api = library.api
        self._most = min(EMBEDDING_TOKENS, header.context_trained)
        self._prefixes = ("query: ", "passage: ") if _E5.search(header.name) else ("", "")
        # llama.cpp clears a row of logits for each token, which it never fills: a megabyte each
        # with 250,000 tokens. In memory of ours they take none.
        self._buffers = BufferInterceptor(Ggml(library.functions))
        self._model = LlamaModel(library, header.parts, on_progress)
        params = default_context_params(api, self._most, self._most)
        params.embeddings = True
        params.n_threads = params.n_threads_batch = threads
        with self._buffers.intercept():
            self._pointer = api.llama_init_from_model(self._model.pointer, params)
            # All buffers exist after a first text of the greatest length.
            if not self._pointer or not self._compute([0] * self._most):
                detail = library.log.last_error() or tr("the embedding model failed")
                self.close()
                raise ModelLoadFailed(path=str(header.path), detail=detail)
        self.measured_mib = sum(library.log.buffers_mib().values())

    def close(self) -> None:
        if self._pointer:
            self._api.llama_free(self._pointer)
        self._model.close()

    def embed(self, text: str) -> list[float]:
        """The embedding of a text, scaled to length 1; of its beginning where it is too long.

        Raises WrongUsage, EngineFailed.
        """
        # As tokenizers of this kind do where their file has the table for it. Without, a new line
        # is an unknown token.
        text = " ".join(unicodedata.normalize("NFKC", text).split())
        if not text:
            raise WrongUsage(detail=tr("The text to embed is empty."))
        tokens = self._model.tokenize(text, special=False, whole=True)
        values = self._compute([*tokens[: self._most - 1], tokens[-1]][: len(tokens)])
        length = math.hypot(*values)
        if not 0 < length < math.inf:
            raise EngineFailed(detail=tr("the embedding model failed"))
        return [value / length for value in values]

    def similarities(self, question: str, passages: Sequence[str]) -> Iterator[float]:
        """The cosine of the angle between a question and each passage. Raises as `embed` does."""
        for_questions, for_passages = self._prefixes
        asked = self.embed(for_questions + question)
        for passage in passages:
            yield sum(map(mul, asked, self.embed(for_passages + passage)))

    def _compute(self, tokens: Sequence[int]) -> list[float]:
        """The vector of all tokens together; empty where there is none."""
        api = self._api
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        failed = api.llama_encode(self._pointer, api.llama_batch_get_one(array, len(tokens)))
        found = None if failed else api.llama_get_embeddings_seq(self._pointer, 0)
        return found[: api.llama_model_n_embd_out(self._model.pointer)] if found else []
