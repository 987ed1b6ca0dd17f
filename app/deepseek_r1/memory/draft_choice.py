"""Opens the draft model that the settings name, as far as its header goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deepseek_r1.core.errors import DraftMissing, DraftUnfit
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.formats.architectures import GIVES_LAYER_INPUTS, NAMES_LAYER_OUTPUTS
from deepseek_r1.formats.eagle3 import HeadFacts, head_facts
from deepseek_r1.formats.gguf import ModelHeader, read_draft_header
from deepseek_r1.memory.draft_costs import draft_mib
from deepseek_r1.memory.plan import ProcessOverhead

Read = Callable[[Path], ModelHeader]


def draft_header(
    settings: LoadSettings, target: ModelHeader, read: Read = read_draft_header
) -> ModelHeader | None:
    """Read the header of the chosen draft model with `read`; None where none is to be loaded.

    Raises ModelRefused: DraftMissing, DraftUnfit, and those of `read_header`.
    """
    if not settings.draft_path:
        if settings.drafts is DraftMode.MODEL:
            raise DraftMissing(model=target.name)
        return None
    header = read(Path(settings.draft_path))
    for each, role in ((target, target.name), (header, header.name)):
        if each.legacy:
            detail = tr("{name} has an old format, with which drafts do not work.", name=role)
            raise DraftUnfit(draft=header.name, model=target.name, detail=detail)
    if (misfit := _head_misfit(header, target)) is not None:
        raise DraftUnfit(draft=header.name, model=target.name, detail=misfit)
    return header


def _head_misfit(head: ModelHeader, target: ModelHeader) -> str | None:
    """Why an EAGLE-3 head does not fit the target; None where it does, or is a model of its own.

    llama.cpp checks none of this: it would read beside a tensor, or abort.
    """
    facts = head_facts(head)
    if facts is None:
        return None
    if target.architecture not in GIVES_LAYER_INPUTS | NAMES_LAYER_OUTPUTS:
        family = target.architecture
        return tr("llama.cpp gives out no hidden states of the family {family}.", family=family)
    return _layers_misfit(facts, target) or _tokens_misfit(facts, head, target)


def _layers_misfit(facts: HeadFacts, target: ModelHeader) -> str | None:
    if facts.target_width != target.embedding:
        return tr(
            "It is made for hidden states of {own} values, and the model's have {width}.",
            own=facts.target_width,
            width=target.embedding,
        )
    if min(facts.layers) == 0 and target.architecture in NAMES_LAYER_OUTPUTS:
        return tr(
            "It reads what the first layer gets, which is not copied for the family {family}.",
            family=target.architecture,
        )
    if max(facts.layers) >= target.blocks:
        return tr(
            "It reads what layer {layer} gets, and the model's last layer is {last}.",
            layer=max(facts.layers),
            last=target.blocks - 1,
        )
    return None


def _tokens_misfit(facts: HeadFacts, head: ModelHeader, target: ModelHeader) -> str | None:
    if not facts.own_embedding and head.embedding != target.embedding:
        return tr(
            "It has no embedding, and the model's has {width} values a token, not {own}.",
            own=head.embedding,
            width=target.embedding,
        )
    if head.vocabulary != target.vocabulary:
        return tr(
            "It has {own:,} tokens, and the model has {count:,}.",
            own=head.vocabulary,
            count=target.vocabulary,
        )
    return None


def with_draft(
    overhead: ProcessOverhead,
    settings: LoadSettings,
    target: ModelHeader,
    read: Read = read_draft_header,
) -> ProcessOverhead:
    """Add the memory of the chosen draft model. Raises as `draft_header` does."""
    draft = draft_header(settings, target, read)
    return overhead if draft is None else replace(overhead, draft_mib=draft_mib(draft, settings))
