"""The fingerprint of everything that a saved KV state depends on.

llama.cpp loads the state of any model of the same shape: it cannot distinguish Qwen2.5-7B's from
R1-Distill-Qwen-7B's. A state is found only under the fingerprint it was saved with.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from deepseek_r1.engine.llama.prompt_cache.segment import ID_BYTES, drop_from_page_cache
from deepseek_r1.formats.gguf import ModelHeader

_SAMPLES, _SAMPLE_BYTES = 64, 4096  # of tensors' data
_READ_BYTES = 1 << 20
_PERSON = b"r1 kv root"

Facts = Mapping[str, str | int | float | bool | None]


def fingerprint(header: ModelHeader, facts: Facts) -> bytes:
    """Hash the model's file and the `facts` about its computation. Raises OSError.

    The hash covers all bytes before the first tensor (metadata, vocabulary, table of tensors),
    samples of the tensors' data, the file's size, and its modification time.
    """
    hashed = hashlib.blake2b(digest_size=ID_BYTES, person=_PERSON)
    hashed.update(json.dumps(facts, sort_keys=True).encode())
    for number, part in enumerate(header.parts):
        _add_part(hashed, header, number, part)
    return hashed.digest()


def _add_part(hashed: hashlib.blake2b, header: ModelHeader, number: int, path: Path) -> None:
    tensors = [tensor for tensor in header.tensors if tensor.part == number]
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        hashed.update(f"{number} {status.st_size} {status.st_mtime_ns} ".encode())
        left = min((tensor.offset for tensor in tensors), default=status.st_size)
        while left > 0 and (data := file.read(min(left, _READ_BYTES))):
            hashed.update(data)
            left -= len(data)
        for tensor in tensors[:: max(1, len(tensors) // _SAMPLES)]:
            file.seek(tensor.offset + max(0, tensor.nbytes - _SAMPLE_BYTES) // 2)
            hashed.update(file.read(min(tensor.nbytes, _SAMPLE_BYTES)) or b"")
        drop_from_page_cache(file.fileno())
