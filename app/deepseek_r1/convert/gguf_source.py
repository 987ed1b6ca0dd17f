"""Reads a GGUF file, or all parts of a split one, as a source of a conversion."""

from pathlib import Path

import numpy as np

from deepseek_r1.convert.errors import FeatureUnknown
from deepseek_r1.convert.hf.tensor_files import as_float32, read_bytes
from deepseek_r1.convert.model_source import Floats, ModelSource, SourceTensor, copied
from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.llama.binding.quantise import Quantiser
from deepseek_r1.formats.container import Container, TensorInfo
from deepseek_r1.formats.gguf import read_header, read_parts

_PLAIN = ("F32", "F16", "BF16", "F64")
_QUANTISED_BITS = 7.9  # weights with fewer bits have lost precision already


def read_gguf(path: Path, quantiser: Quantiser) -> ModelSource:
    """Returns the model in `path`. Raises a `ModelRefused` for everything but a valid GGUF file."""
    header = read_header(path)
    if header.version == 1:
        detail = tr("It is GGUF version 1, and the engine that reads it cannot read a newer one.")
        raise FeatureUnknown(detail=detail)
    parts = read_parts(path)
    return ModelSource(
        path=path,
        architecture=header.architecture,
        blocks=header.blocks,
        keys=tuple(each for each in copied(parts[0]) if not each.key.startswith("split.")),
        tensors=tuple(_tensor(part, entry, quantiser) for part in parts for entry in part.tensors),
        files=tuple(part.path for part in parts),
        remarks=_remarks(parts),
    )


def _remarks(parts: list[Container]) -> tuple[str, ...]:
    stored = [each for part in parts for each in part.tensors if len(each.shape) > 1]
    bits = 8 * sum(each.nbytes for each in stored) / max(1, sum(each.elements for each in stored))
    if bits >= _QUANTISED_BITS:
        return ()
    remark = tr(
        "The source has only {bits} bits per weight. The precision that it has lost "
        "cannot be restored.",
        bits=f"{bits:.1f}",
    )
    return (remark,)


def _tensor(part: Container, entry: TensorInfo, quantiser: Quantiser) -> SourceTensor:
    columns, kind = entry.shape[0], entry.kind
    row_bytes, start = kind.nbytes(columns), entry.offset

    def read_packed(first: int, last: int) -> bytearray:
        return read_bytes(part.path, start + first * row_bytes, (last - first) * row_bytes)

    def read_rows(first: int, last: int) -> Floats:
        raw = read_packed(first, last)
        if kind.name in _PLAIN:
            return as_float32(raw, kind.name).reshape(-1, columns)
        return quantiser.unpack(np.frombuffer(raw, np.uint8), kind, columns)

    return SourceTensor(entry.name, entry.shape, kind, read_rows, read_packed=read_packed)
