"""The facts of a model, for an inspection of its file and for a load."""

from __future__ import annotations

from deepseek_r1.core.events import ModelFacts, TemplateUsed
from deepseek_r1.formats.gguf import ModelHeader

_MIB = 1 << 20


def model_facts(
    header: ModelHeader,
    context_length: int,
    *,
    engine: str,
    reasons: bool,
    template: TemplateUsed,
    ignored: tuple[str, ...] = (),
) -> ModelFacts:
    """Return the facts of the header, with those of the engine: its name and what it found."""
    return ModelFacts(
        path=str(header.path),
        name=header.name,
        architecture=header.architecture,
        file_mib=header.file_bytes / _MIB,
        parameters=header.parameters,
        quantisation=header.quantisation,
        context_length=context_length,
        context_trained=header.context_trained,
        vocabulary=header.vocabulary,
        reasons=reasons,
        engine=engine,
        format=header.format_name,
        ignored=ignored,
        template=template,
    )
