"""Which file of a model's ladder, from few bits to many, is the best to read along with.

Beside it stands the one with the best answers among those that run here, each with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from deepseek_r1.core.i18n import N_, join_sentences, tr
from deepseek_r1.memory.forecast import Fit, Forecast, format_rate

# Silent reading, 238 English words a minute (Brysbaert 2019), at four tokens for three words.
READING_TOK_S: Final = 5.3
MIN_TOK_S: Final = 0.25  # slower than this nobody waits for an answer
# Llama 3 8B's perplexity over that of its 16 bits, 6.2332 (the scoreboard in llama.cpp's
# tools/perplexity/README.md), in percent; the IQ types with an importance matrix, others without.
LOSSES: Final = {
    "Q8_0": 0.04, "Q6_K": 0.35, "Q5_K_M": 0.9, "Q5_K_S": 1.7, "Q5_1": 1.7, "Q5_0": 2.1,
    "Q4_K_M": 2.8, "IQ4_NL": 3.6, "IQ4_XS": 3.7, "Q4_K_S": 4.3, "Q4_1": 7.2, "Q4_0": 7.5,
    "Q3_K_L": 8.9, "Q3_K_M": 10.5, "IQ3_M": 10.7, "IQ3_S": 11.8, "IQ3_XS": 14.9, "IQ3_XXS": 19.7,
    "Q3_K_S": 26.2, "IQ2_M": 38.0, "Q2_K_S": 49.6, "IQ2_S": 54.9, "Q2_K": 56.5, "IQ2_XS": 72.7,
    "IQ2_XXS": 126.1, "F16": 0.0, "BF16": 0.0,
}  # fmt: skip


def loss_of(quantisation: str) -> float | None:
    """The known loss in percent; None for a type that is not on the list."""
    return LOSSES.get(quantisation.upper().removeprefix("UD-"))


def loss_text(quantisation: str) -> str:
    """The known loss in words."""
    loss = loss_of(quantisation)
    if loss is None:
        return tr("loss unknown")
    return tr("perplexity +{loss} %", loss=f"{loss:.1f}" if loss >= 0.1 else f"{loss:g}")


@dataclass(frozen=True, slots=True)
class Rung:
    """A file of the ladder and how it would run here."""

    quantisation: str
    forecast: Forecast

    @property
    def runs(self) -> bool:
        """Whether it runs within the budget, no slower than anybody would wait."""
        forecast = self.forecast
        return forecast.fit is not Fit.TOO_LARGE and forecast.best_tok_s >= MIN_TOK_S

    @property
    def loss(self) -> float:
        """The known loss; without one the more bits, the better."""
        found = loss_of(self.quantisation)
        return found if found is not None else 1e3 / (1 + self.forecast.bill.total_mib)

    @property
    def facts(self) -> dict[str, str]:
        """Its name, speed, place and loss, as texts."""
        forecast = self.forecast
        place = tr("from memory") if forecast.fit is Fit.IN_MEMORY else tr("from the disk")
        if forecast.drafted_tok_s:
            plain = format_rate(forecast.tok_s)
            place = tr("from the disk with the draft model ({rate} without)", rate=plain)
        rate = format_rate(forecast.best_tok_s)
        loss = loss_text(self.quantisation)
        return {"file": self.quantisation, "rate": rate, "place": place, "loss": loss}

    @property
    def text(self) -> str:
        """Its speed, where that is known, and its loss."""
        facts = self.facts
        return tr("{rate} tok/s {place}, {loss}", **facts) if self.runs else facts["loss"]


def best_to_read(rungs: Sequence[Rung]) -> Rung | None:
    """The least loss that writes as fast as one reads, else the fastest; None where none runs."""
    running = [each for each in rungs if each.runs]
    keeping_up = [each for each in running if each.forecast.best_tok_s >= READING_TOK_S]
    if keeping_up:
        return min(keeping_up, key=lambda each: each.loss)
    return max(running, key=lambda each: each.forecast.best_tok_s, default=None)


def best_answers(rungs: Sequence[Rung]) -> Rung | None:
    """The least loss that runs here."""
    return min((each for each in rungs if each.runs), key=lambda each: each.loss, default=None)


def ladder_text(rungs: Sequence[Rung]) -> str:
    """Both choices, each with its reason in a sentence; empty where there is no choice."""
    reading, best = best_to_read(rungs), best_answers(rungs)
    if len(rungs) < 2 or reading is None or best is None:
        return ""
    keeps_up = reading.forecast.best_tok_s >= READING_TOK_S
    if keeps_up and reading is best:
        both = N_(
            "{file} is the most exact that runs here and writes as fast as one reads: "
            "{rate} tok/s {place}, {loss}."
        )
        return tr(both, **best.facts)
    first = N_(
        "None writes as fast as one reads; {file} is the fastest: {rate} tok/s {place}, {loss}."
    )
    if keeps_up:
        first = N_(
            "{file} is the most exact that writes as fast as one reads: "
            "{rate} tok/s {place}, {loss}."
        )
    second = N_("{file} is the most exact that runs here: {loss}, {rate} tok/s {place}.")
    return join_sentences((tr(first, **reading.facts), tr(second, **best.facts)))
