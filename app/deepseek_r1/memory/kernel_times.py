"""Times of our kernels and of llama.cpp's on this computer, and what is chosen by them.

Measured once for a processor and a build, by `engine.llama.binding.kernel_measuring` at the first
load of a large model, and kept in the profile. Whoever makes a bill or an answer reads it here, so
both stay the same until another build is used. What was not measured has the fixed choice: weights
are repacked where llama.cpp can, and ours compute the rows for which they have its own bits.
"""

import hashlib
from collections.abc import Mapping
from math import log
from typing import Final

from pydantic import BaseModel, field_validator

from deepseek_r1.core.measured_file import Measurements
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.formats.header import once_per_header
from deepseek_r1.hardware import cpu

MEASURED_ROWS: Final = (1, 2, 4, 8, 12, 16, 32, 64, 128)
_MOST_ROWS: Final = 1 << 20  # where the largest measured number is in the range
UNMEASURED_ROWS: Final = (2, 7)
# Smaller models are read and written so fast that measuring would be most of their first load.
_LEAST_BYTES: Final = 256 << 20
# What is compared is a turn of a conversation.
_PROMPT_TOKENS, _ANSWER_TOKENS = 512, 256
_EMBEDDING: Final = "token_embd.weight"


class TypeTimes(BaseModel, frozen=True):
    """Microseconds for a million weights of one type, by the number of rows (tokens).

    `plain` is llama.cpp with weights as they are in the file, `repacked` with its own layout for
    this processor, empty where it has none; `ours` is empty where our kernels lack the type.
    """

    plain: dict[int, float]
    ours: dict[int, float] = {}
    repacked: dict[int, float] = {}

    @field_validator("plain", "ours", "repacked")
    @classmethod
    def _have_all_rows(cls, times: dict[int, float]) -> dict[int, float]:
        if times and times.keys() != set(MEASURED_ROWS):
            raise ValueError("other numbers of rows were measured")
        return times

    @property
    def our_rows(self) -> tuple[int, int]:
        """The least and the most rows for which ours are faster; (1, 0) for none."""
        gains = [log(self.plain[n] / self.ours[n]) if self.ours else -1.0 for n in MEASURED_ROWS]
        count = len(gains)
        ranges = [(i, j) for i in range(count) for j in range(i, count) if gains[i] > 0]
        # One count that another program disturbed does not end a range.
        if not ranges:
            return 1, 0
        first, last = max(ranges, key=lambda each: sum(gains[each[0] : each[1] + 1]))
        return MEASURED_ROWS[first], _MOST_ROWS if last + 1 == count else MEASURED_ROWS[last]

    def turn(self, *, repacked: bool) -> float:
        """Microseconds that a million of these weights take in a turn of a conversation."""
        one, many = MEASURED_ROWS[0], MEASURED_ROWS[-1]
        if repacked:
            found = self.repacked
        else:
            least, most = self.our_rows
            found = {n: (self.ours if least <= n <= most else self.plain)[n] for n in (one, many)}
        return _ANSWER_TOKENS * found[one] + _PROMPT_TOKENS / many * found[many]


class KernelTimes(BaseModel, frozen=True):
    """The times that were measured with one build of the libraries, by the names of types."""

    build: str = ""
    types: dict[str, TypeTimes] = {}

    def rows(self, header: ModelHeader) -> Mapping[str, tuple[int, int]]:
        """The rows that our kernels compute of this model's weights, by measured type."""
        return {kind: self.types[kind].our_rows for kind in self._kinds(header)}

    def repacks(self, header: ModelHeader) -> bool:
        """Whether a turn with this model in memory takes less time with repacked weights.

        All of a model's weights have one layout; true where llama.cpp has none of its own, too.
        """
        gain, kinds = 0.0, self._kinds(header)
        for each in header.tensors:
            times = self.types[each.type_name] if each.type_name in kinds else None
            if times is not None and times.repacked and each.name != _EMBEDDING:
                gain += each.elements * (times.turn(repacked=False) - times.turn(repacked=True))
        return gain >= 0

    def _kinds(self, header: ModelHeader) -> set[str]:
        return measured_kinds(header) & self.types.keys()


_KEPT: Final = Measurements("kernel_times", KernelTimes)


@once_per_header
def measured_kinds(header: ModelHeader) -> set[str]:
    """The types that are measured for a model: of its matrices, where it is large enough."""
    if header.legacy or header.file_bytes < _LEAST_BYTES:
        return set()
    return {each.type_name for each in header.tensors if len(each.shape) > 1}


def kept_times() -> KernelTimes:
    """Return what this computer's profile has."""
    return _KEPT.get(_key()) or KernelTimes()


def keep_times(times: KernelTimes) -> KernelTimes:
    """Keep it in the profile; where that cannot be written, the fixed choice is in force."""
    return times if _KEPT.keep(_key(), times) else KernelTimes()


def _key() -> str:
    facts = cpu()
    features = hashlib.blake2b(" ".join(facts.features).encode(), digest_size=8).hexdigest()
    return f"{facts.name} | {facts.threads} threads | {features}"
