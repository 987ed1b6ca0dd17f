"""Reads a model file's facts and its bill from the header alone, without native code."""

from __future__ import annotations

from pathlib import Path

from deepseek_r1.core.events import ModelFacts, TemplateSource, TemplateUsed
from deepseek_r1.engine.engine_names import engine_name
from deepseek_r1.engine.reasoning import CLOSE_TAG, OPEN_TAG
from deepseek_r1.engine.template_families import choose_template
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.host.protocol import InspectReply, InspectRequest
from deepseek_r1.inference.draft_choice import with_draft
from deepseek_r1.inference.model_facts import model_facts
from deepseek_r1.inference.process_overhead import planned_share
from deepseek_r1.memory.estimate import estimate
from deepseek_r1.memory.plan import require_context, with_context


def inspect(request: InspectRequest) -> InspectReply:
    """The facts, the bill and the advice. Raises ModelRefused for an unusable file."""
    header = read_header(Path(request.path))
    share = planned_share(request.window_mib)
    share = with_draft(share, request.settings, header)
    settings = with_context(header, request.settings, share)
    require_context(header, settings)
    estimated = estimate(header, request.settings, share, measure_disk=request.measure_disk)
    return InspectReply(
        id=request.id,
        facts=_facts(header, settings.context_length, request.chat_template),
        bill=estimated.bill,
        advice=estimated.advice.text,
        fits_with=estimated.advice.settings if estimated.advice.text else None,
    )


def _facts(header: ModelHeader, context_length: int, chat_template: str) -> ModelFacts:
    if header.legacy:
        template, used = "", TemplateUsed(source=TemplateSource.COMPLETION)
    else:
        template, used = choose_template(header, chat_template)
    return model_facts(
        header,
        context_length,
        engine=engine_name(legacy=header.legacy),
        reasons=any(tag in template for tag in (OPEN_TAG, CLOSE_TAG)),
        template=used,
    )
