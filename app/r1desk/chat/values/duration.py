"""Durations, and thinking budgets with theirs, in words."""

from deepseek_r1.core.i18n import N_, tr, trn
from deepseek_r1.core.settings import THINKING_BUDGETS

_NAMES = {
    "off": N_("Off"),
    "short": N_("Short"),
    "normal": N_("Normal"),
    "long": N_("Long"),
    "unlimited": N_("No limit"),
}


def duration_text(seconds: float) -> str:
    """A duration as people say it: "7 s", "3 min 7 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return tr("{seconds} s", seconds=whole)
    if whole < 3600 and whole % 60 == 0:
        return tr("{n} min", n=whole // 60)
    if whole < 3600:
        return tr("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
    return tr("{hours} h {minutes} min", hours=whole // 3600, minutes=whole % 3600 // 60)


def price_text(seconds: float) -> str:
    """A time that something will take, as roughly as it is known."""
    step = 1 if seconds < 60 else 10 if seconds < 600 else 60
    return duration_text(step * max(1, round(seconds / step)))


def budget_name(budget: int | None) -> str:
    """The name of a budget, or its number."""
    for key, tokens in THINKING_BUDGETS.items():
        if tokens == budget:
            return tr(_NAMES[key])
    return trn("{n:,} token", "{n:,} tokens", budget or 0)


def budget_cost(budget: int | None, decode_tok_s: float) -> str:
    """The most that thinking takes: tokens, and time where the model's speed is known."""
    if budget is None:
        return tr("until the model is done or the context is full")
    if budget == 0:
        return tr("the answer begins at once")
    tokens = f"{budget:,}"
    if not decode_tok_s:
        return tr("at most {count} tokens", count=tokens)
    duration = price_text(budget / decode_tok_s)
    return tr("{count} tokens: about {duration}", count=tokens, duration=duration)
