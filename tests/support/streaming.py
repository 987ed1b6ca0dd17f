"""One model with and without streaming, down to its logits."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.core.settings import CacheStrategy, KVType
from deepseek_r1.engine.llama.binding.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.weights.residency import least_weights_mib, plan_residency
from deepseek_r1.weights.streamed_weights import StreamedWeights

FIRST = [5 + 3 * n % 200 for n in range(40)]


def likeliest(logits: bytes) -> int:
    """The token with the largest of these logits."""
    values = memoryview(logits).cast("f")
    return max(range(len(values)), key=values.__getitem__)


@dataclass
class Bench:
    """A loaded model. `weights` is None where it is in memory as a whole."""

    model: LlamaModel
    context: LlamaContext
    weights: StreamedWeights | None
    header: ModelHeader

    def set_weights_mib(self, mib: float) -> None:
        """Move the weights' budget; in force with the next computation."""
        assert self.weights is not None
        self.weights.set_residency(plan_residency(self.header, mib))

    def logits(self, tokens: list[int]) -> bytes:
        """The bytes of the logits after these tokens, computed on top of what is there."""
        done = 0
        while done < len(tokens):
            if self.weights is not None:
                self.weights.apply_residency()
            chunk = tokens[done : done + self.context.max_batch_tokens]
            self.context.compute(chunk)
            done += len(chunk)
        pointer = library().api.llama_get_logits_ith(self.context.pointer, -1)
        return ctypes.string_at(pointer, 4 * self.model.vocabulary)

    def answer(self, tokens: list[int], count: int) -> list[bytes]:
        """The logits after `tokens`, then after each of `count` likeliest next ones."""
        logits = [self.logits(tokens)]
        for _ in range(count):
            logits.append(self.logits([likeliest(logits[-1])]))
        return logits


@contextmanager
def loaded(
    path: Path,
    weights_mib: float | None,
    *,
    micro_batch: int = 16,
    direct: bool = True,
    strategy: CacheStrategy = CacheStrategy.AUTO,
    sequences: int = 1,
    draft_tokens: int = 0,
    repack: bool = False,
) -> Iterator[Bench]:
    """The model in memory, or streamed with `weights_mib` MiB for its weights."""
    weights, header = None, read_header(path)
    if weights_mib is not None:
        residency = plan_residency(header, weights_mib)
        weights = StreamedWeights(
            library().functions, header, residency, direct=direct, strategy=strategy
        )
    model = LlamaModel(library(), header.parts, lambda _fraction: True, weights, repack=repack)
    shape = ContextParams(
        256,
        micro_batch,
        KVType.F16,
        sequences,
        threads=1,
        threads_prefill=1,
        draft_tokens=draft_tokens,
    )
    context = LlamaContext(library(), model, shape, weights)
    try:
        yield Bench(model, context, weights, header)
    finally:
        context.close()
        model.close()
        if weights is not None:
            weights.close()


def budgets(path: Path) -> list[float]:
    """The least that works, half of the rest, and enough for all."""
    header = read_header(path)
    least = least_weights_mib(header)
    whole = least + sum(each.nbytes + 8192 for each in header.tensors) / (1 << 20)
    return [least, (least + whole) / 2 - (whole - least) / 4, whole]
