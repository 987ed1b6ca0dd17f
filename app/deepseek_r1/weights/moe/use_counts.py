"""Counts how often a model's experts were used, in this load and in those before it."""

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel, Field

from deepseek_r1.core.measured_file import Measurements
from deepseek_r1.formats.gguf import ModelHeader

_MOST = 255  # what the most used expert's count is stored as: newer uses outweigh older ones


class _Stored(BaseModel, frozen=True):
    uses: str = Field(pattern="^([0-9a-f]{2})*$")  # a byte for each expert


KEPT_USES = Measurements("expert_uses", _Stored)


class UseCounts:
    """The uses of each expert of all layers. A wrong count costs time, never an answer."""

    def __init__(self, header: ModelHeader, experts: int) -> None:
        """Begin with what the profile has for this model: zeros where that is nothing."""
        described = f"{header.path.name} {header.file_bytes} {experts}"
        self._key = hashlib.blake2b(described.encode(), digest_size=16).hexdigest()
        stored = KEPT_USES.get(self._key)
        found = bytes.fromhex(stored.uses) if stored is not None else b""
        self.uses = list(found) if len(found) == experts else [0] * experts
        self._changed = False

    def add(self, uses: Mapping[int, int]) -> None:
        """Count the tokens that use each of these experts."""
        for key, tokens in uses.items():
            self.uses[key] += tokens
        self._changed = True

    def save(self) -> None:
        if not self._changed:
            return
        scale = min(1.0, _MOST / max(self.uses))
        stored = _Stored(uses=bytes(int(count * scale) for count in self.uses).hex())
        if KEPT_USES.keep(self._key, stored):
            self._changed = False
