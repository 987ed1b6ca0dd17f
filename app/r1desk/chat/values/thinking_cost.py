"""Thinking budgets and their cost in time, as text."""

from __future__ import annotations

from deepseek_r1.core.i18n import N_, tr, trn
from deepseek_r1.core.settings import THINKING_BUDGETS
from r1desk.chat.values.duration import duration_text

_NAMES = {
    "off": N_("Off"),
    "short": N_("Short"),
    "normal": N_("Normal"),
    "long": N_("Long"),
    "unlimited": N_("No limit"),
}


def budget_name(budget: int | None) -> str:
    """The name of a budget, or its number."""
    for key, tokens in THINKING_BUDGETS.items():
        if tokens == budget:
            return tr(_NAMES[key])
    return trn("{n:,} token", "{n:,} tokens", budget)


def budget_cost(budget: int | None, decode_tok_s: float) -> str:
    """The most that thinking takes: tokens, and time where the model's speed is known."""
    if budget is None:
        return tr("until the model is done or the context is full")
    if budget == 0:
        return tr("the answer begins at once")
    tokens = f"{budget:,}"
    if not decode_tok_s:
        return tr("at most {count} tokens", count=tokens)
    duration = duration_text(budget / decode_tok_s)
    return tr("{count} tokens: about {duration}", count=tokens, duration=duration)
