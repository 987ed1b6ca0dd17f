"""What a file is and would cost, told from its header alone: no native code touches it."""

from __future__ import annotations

from pathlib import Path

from deepseek_r1.core.errors import ContextTooLarge
from deepseek_r1.core.events import ModelFacts
from deepseek_r1.engine.names import engine_name
from deepseek_r1.engine.reasoning import CLOSE_TAG, OPEN_TAG
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.host.protocol import Inspect, Inspected
from deepseek_r1.memory.plan import ProcessShare
from deepseek_r1.memory.quote import quote

MIB = 1024 * 1024


def inspect(request: Inspect) -> Inspected:
    """The facts, the bill and the advice. Raises ModelRefused for a file of no use."""
    header = read_header(Path(request.path))
    settings, share = request.settings, ProcessShare(window_mib=request.window_mib)
    if 0 < header.context_trained < settings.context_length:
        raise ContextTooLarge(asked=settings.context_length, trained=header.context_trained)
    quoted = quote(header, settings, share)
    return Inspected(
        id=request.id,
        facts=_facts(header, settings.context_length),
        bill=quoted.bill,
        advice=quoted.advice.text,
        fits_with=quoted.advice.settings if quoted.advice.text else None,
    )


def _facts(header: ModelHeader, context_length: int) -> ModelFacts:
    return ModelFacts(
        path=str(header.path),
        name=header.name,
        architecture=header.architecture,
        file_mib=header.file_bytes / MIB,
        parameters=header.parameters,
        quantisation=header.quantisation,
        context_length=context_length,
        context_trained=header.context_trained,
        vocabulary=header.vocabulary,
        reasons=any(tag in (header.template or "") for tag in (OPEN_TAG, CLOSE_TAG)),
        engine=engine_name(legacy=header.legacy),
        format=header.format_name,
    )
