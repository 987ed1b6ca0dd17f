"""Ways to go on where the context is full, each with its price."""

from dataclasses import dataclass
from math import ceil

from deepseek_r1.core.events import Bill, ModelFacts
from deepseek_r1.core.i18n import join_sentences, tr, trn
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.units import format_mib, format_part
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.memory.forecast import Estimate
from r1desk.chat.context.loaded_model import MeasuredSpeed
from r1desk.chat.values.duration import price_text
from r1desk.chat.values.intents import ContextOption, ContextOptions, ContextWay

BUDGET_STEP_MIB = 64
LEFT_FREE_MIB = 1024  # for other programs, when a larger budget is offered


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The messages before `start` are left out; `tokens` are those of the prompt that remains."""

    start: int
    messages: int
    tokens: int


@dataclass(frozen=True, slots=True)
class SummaryOffer:
    """The conversation to summarise: `tokens` are read, `most` are written.

    `left_out` are the ids of the messages that are not read; for `not_fitting` of them there is
    no room, the others are above the place where memory begins.
    """

    tokens: int
    most: int
    left_out: frozenset[int]
    not_fitting: int


def heading_text(total: int, reserve: int, context: int, *, was_cut: bool) -> str:
    """Why the conversation cannot simply go on."""
    numbers = {"total": f"{total:,}", "reserve": f"{reserve:,}", "context": f"{context:,}"}
    if was_cut:
        return tr("The answer ended early: the context of {context} tokens is full.", **numbers)
    return tr(
        "This chat is too long for the model: {total} tokens, and {reserve} more for "
        "the answer, in a context of {context}. Nothing was cut. How should it go on?",
        **numbers,
    )


def fitting_options(message_id: int, total: int, context: int, *, was_cut: bool) -> ContextOptions:
    """The context was enlarged elsewhere: the answer can simply be written."""
    heading = tr(
        "The chat fits now: {total} of {context} tokens.",
        total=f"{total:,}",
        context=f"{context:,}",
    )
    price = tr("{left} tokens are left for the answer.", left=f"{context - total:,}")
    title = tr("Continue") if was_cut else tr("Answer now")
    return ContextOptions(message_id, heading, (ContextOption(ContextWay.FITS, title, price),))


def leave_out_option(left: LeftOut | None, total: int, speed: MeasuredSpeed) -> ContextOption:
    """The model reads from a later message on."""
    if left is None:
        return ContextOption(
            ContextWay.LEAVE_OUT,
            tr("Leave out the oldest messages"),
            tr("Your last message alone is too long for this context."),
            possible=False,
        )
    parts = [
        tr(
            "{count} tokens fewer, {left} remain. Nothing is deleted: a line shows where "
            "the model starts reading, and you can move it.",
            count=f"{max(0, total - left.tokens):,}",
            left=f"{left.tokens:,}",
        )
    ]
    if (seconds := speed.reading_s(left.tokens)) is not None:
        parts.append(tr("Reading takes about {duration}.", duration=_unbroken(seconds)))
    title = trn("Leave out the oldest message", "Leave out the oldest {n} messages", left.messages)
    return ContextOption(ContextWay.LEAVE_OUT, title, join_sentences(parts))


def summary_option(
    summary: SummaryOffer | None, speed: MeasuredSpeed, *, has_history: bool
) -> ContextOption:
    """A new branch that begins with a summary."""
    title = tr("Continue from a summary")
    if summary is None:
        price = (
            tr("Even the last message and a summary are too long for this context.")
            if has_history
            else tr("Nothing before this message to summarise.")
        )
        return ContextOption(ContextWay.SUMMARY, title, price, possible=False)
    numbers = {"read": f"{summary.tokens:,}", "most": f"{summary.most:,}"}
    parts = [
        tr(
            "Reads {read} tokens and writes a summary of {most} at most. This branch stays "
            "as it is.",
            **numbers,
        )
    ]
    reading, writing = speed.reading_s(summary.tokens), speed.writing_s(summary.most)
    if reading is not None and writing is not None:
        duration = _unbroken(reading + writing)
        parts.append(tr("The summary takes about {duration}.", duration=duration))
    if count := summary.not_fitting:
        parts.append(
            trn("The oldest message does not fit.", "The oldest {n} messages do not fit.", count)
        )
    return ContextOption(ContextWay.SUMMARY, title, join_sentences(parts))


def summary_request() -> str:
    """The message that asks for a summary; it is part of the new branch and can be read there."""
    return tr(
        "Summarise our chat so far in at most 200 words, so that it can go on from the "
        "summary alone: facts, names, numbers, decisions and open questions."
    )


def _unbroken(seconds: float) -> str:
    """A duration that stays on one line."""
    return price_text(seconds).replace(" ", "\N{NO-BREAK SPACE}")


def anyway_option(total: int, context: int) -> ContextOption:
    """Answer in what is left."""
    return ContextOption(
        ContextWay.ANYWAY,
        tr("Answer anyway"),
        tr("{left} tokens are left for the answer.", left=f"{context - total:,}"),
    )


def longer_context(facts: ModelFacts, needed: int) -> int | None:
    """The next length, by doubling, that holds `needed` tokens; None where none does."""
    length = max(facts.context_length, 1) * 2
    while length < needed:
        length *= 2
    if 0 < facts.context_trained < length:
        length = facts.context_trained
    return length if length >= needed and length > facts.context_length else None


def too_long_option(facts: ModelFacts) -> ContextOption:
    """The model was not trained for more."""
    price = tr(
        "This model can read {trained} tokens at most.", trained=f"{facts.context_trained:,}"
    )
    return ContextOption(ContextWay.LONGER, tr("Longer context"), price, possible=False)


def fitting_settings(estimate: Estimate, settings: LoadSettings) -> LoadSettings | None:
    """Settings with which `settings`' context fits; None where this computer has no room."""
    if estimate.bill.fits:
        return settings
    nearest = estimate.fits_with
    if (
        nearest is not None
        and nearest.context_length >= settings.context_length
        and nearest.memory_budget <= settings.memory_budget
    ):
        return nearest
    budget = ceil(estimate.bill.total_mib / BUDGET_STEP_MIB) * BUDGET_STEP_MIB
    if budget - settings.memory_budget + LEFT_FREE_MIB > memory_reading().available_mib:
        return None
    return settings.model_copy(update={"memory_budget": budget})


def longer_option(
    estimate: Estimate, settings: LoadSettings, chosen: LoadSettings | None, present: Bill
) -> ContextOption:
    """The offer of `settings`, of which `chosen` fits."""
    bill = estimate.bill
    title = tr("Longer context: {length} tokens", length=f"{settings.context_length:,}")
    more = format_mib(max(0.0, bill.total_mib - present.total_mib))
    part = format_part(bill.total_mib, bill.budget_mib)
    parts = [tr("{more} more memory ({part}).", more=more, part=part)]
    if chosen is None:
        parts.append(tr("Not enough free memory on this computer."))
    elif chosen.memory_budget > settings.memory_budget:
        budget = format_mib(chosen.memory_budget)
        parts.append(tr("The memory budget is raised to {budget} for it.", budget=budget))
    elif chosen != settings:
        parts.append(estimate.advice.text)
    if chosen is not None:
        parts.append(tr("The model reloads and reads the chat again."))
    return ContextOption(
        ContextWay.LONGER, title, join_sentences(parts), possible=chosen is not None
    )
