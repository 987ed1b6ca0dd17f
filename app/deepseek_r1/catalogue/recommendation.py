"""Which file of a model is recommended here, and which DeepSeek-R1 model is the best for you.

One rule for the window, its first start and the command line. The ladder is a model's files, from
few bits to many.
"""

from collections.abc import Sequence
from typing import Final

from deepseek_r1.catalogue.known_models import Choice, KnownModel, catalogue, known_models
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import N_, join_sentences, tr
from deepseek_r1.memory.forecast import Fit, format_rate

# Silent reading, 238 English words a minute (Brysbaert 2019), at four tokens for three words.
READING_TOK_S: Final = 5.3
LEAST_TOK_S: Final = 3.0  # of the best model for you: a larger one that is slower is a choice
MIN_TOK_S: Final = 0.25  # slower than this nobody waits for an answer
MIN_BITS: Final = 4.5  # a weight; below it a model loses more than the next smaller one has
# Llama 3 8B's perplexity over that of its 16 bits, 6.2332 (the scoreboard in llama.cpp's
# tools/perplexity/README.md), in percent; the IQ types with an importance matrix, others without.
LOSSES: Final = {
    "Q8_0": 0.04, "Q6_K": 0.35, "Q5_K_M": 0.9, "Q5_K_S": 1.7, "Q5_1": 1.7, "Q5_0": 2.1,
    "Q4_K_M": 2.8, "IQ4_NL": 3.6, "IQ4_XS": 3.7, "Q4_K_S": 4.3, "Q4_1": 7.2, "Q4_0": 7.5,
    "Q3_K_L": 8.9, "Q3_K_M": 10.5, "IQ3_M": 10.7, "IQ3_S": 11.8, "IQ3_XS": 14.9, "IQ3_XXS": 19.7,
    "Q3_K_S": 26.2, "IQ2_M": 38.0, "Q2_K_S": 49.6, "IQ2_S": 54.9, "Q2_K": 56.5, "IQ2_XS": 72.7,
    "IQ2_XXS": 126.1, "F16": 0.0, "BF16": 0.0,
}  # fmt: skip
_R1_FAMILY: Final = "deepseek-r1"


def recommended(ladder: Sequence[ModelFile]) -> ModelFile | None:
    """Find the one of a model's files that is recommended here; None where none runs.

    Of those with enough bits first what runs from memory, then what writes as fast as one reads;
    of these the least loss, else the fastest, else the smallest.
    """

    def rank(file: ModelFile) -> tuple[float, ...]:
        keeps_up = file.tok_s >= READING_TOK_S
        good = -_loss(file) if keeps_up else file.tok_s
        return file.bits >= MIN_BITS, file.from_memory, keeps_up, good, -(file.size_bytes or 0)

    return max(filter(_runs, ladder), key=rank, default=None)


def best_for_you(files: Sequence[ModelFile]) -> ModelFile | None:
    """The largest DeepSeek-R1 model that runs from memory and is quick; else the fastest.

    It is the file that is recommended of that model. None where none is quick enough.
    """

    def rank(file: ModelFile) -> tuple[float, ...]:
        quick = not 0 < file.tok_s < LEAST_TOK_S
        size = file.known.parameters if file.known is not None else 0
        return file.bits >= MIN_BITS, file.from_memory, quick, size if quick else file.tok_s

    candidates = [
        file
        for model in known_models()
        if model.family == _R1_FAMILY and (file := recommended(ladder_of(files, model)))
        if file.from_memory or file.tok_s >= LEAST_TOK_S
    ]
    return max(candidates, key=rank, default=None)


def ladder_of(files: Sequence[ModelFile], model: KnownModel) -> list[ModelFile]:
    """The files of a model."""
    return [each for each in files if each.known is model]


def one_of_each(files: Sequence[ModelFile], budget_mib: int) -> tuple[ModelFile, ...]:
    """Each model of the catalogue with its recommended file, the best for you and the good first.

    Where none of a model's files runs, it is the smallest.
    """
    choice, best = choice_for(budget_mib), best_for_you(files)
    order = (*choice.first, *choice.also, *choice.experimental)
    found = [
        recommended(own) or min(own, key=lambda each: each.size_bytes or 0)
        for model in known_models()
        if (own := ladder_of(files, model))
    ]

    def place(file: ModelFile) -> tuple[bool, int]:
        name = file.known.id if file.known is not None else ""
        return file is not best, order.index(name) if name in order else len(order)

    return tuple(sorted(found, key=place))


def choice_for(budget_mib: int) -> Choice:
    """The catalogue's models for a budget; for the smallest one, those of the least."""
    choices = catalogue().choices
    fitting = [each for each in choices if each.memory_gb * 1024 <= budget_mib]
    return fitting[-1] if fitting else choices[0]


def is_good(file: ModelFile, budget_mib: int) -> bool:
    """Whether it is the file of a model that the catalogue puts in front for a budget, and runs."""
    known = file.known
    return known is not None and known.id in choice_for(budget_mib).first and _runs(file)


def loss_of(quantisation: str) -> float | None:
    """The known loss in percent; None for a type that is not on the list."""
    return LOSSES.get(quantisation.upper().removeprefix("UD-"))


def loss_text(quantisation: str) -> str:
    """The known loss in words."""
    loss = loss_of(quantisation)
    if loss is None:
        return tr("quality loss unknown")
    return tr("quality loss {loss} %", loss=f"{loss:.1f}" if loss >= 0.1 else f"{loss:g}")


def _loss(file: ModelFile) -> float:
    """The known loss; without one the more bits, the better."""
    found = loss_of(file.quantisation)
    return found if found is not None else 1e3 / (1 + file.bits)


def _runs(file: ModelFile) -> bool:
    """Whether it runs within the budget, no slower than anybody would wait."""
    if file.forecast is None or file.forecast.fit is Fit.TOO_LARGE:
        return False
    return not 0 < file.tok_s < MIN_TOK_S


def speed_and_loss(file: ModelFile) -> str:
    """Its speed and the place that it runs from, where they are known, and its loss."""
    forecast, loss = file.forecast, loss_text(file.quantisation)
    if forecast is None or not file.tok_s or not _runs(file):
        return loss
    place = tr("from memory") if forecast.fit is Fit.IN_MEMORY else tr("from the disk")
    rate = format_rate(file.tok_s)
    return tr("{rate} tok/s {place}, {loss}", rate=rate, place=place, loss=loss)


def ladder_text(ladder: Sequence[ModelFile]) -> str:
    """The recommended file and the most exact one; empty without speeds or without a choice."""
    running = [each for each in ladder if _runs(each) and each.tok_s]
    file = recommended(running)
    if len(ladder) < 2 or file is None:
        return ""
    text = N_("Recommended: {file} ({facts}).")
    if max(each.tok_s for each in running) < READING_TOK_S:
        text = N_("All are slower than reading. Recommended: {file} ({facts}).")
    sentence = tr(text, file=file.quantisation, facts=speed_and_loss(file))
    best = min(running, key=_loss)
    if best is file:
        return sentence
    exact = tr(
        "Best that runs here: {file} ({facts}).", file=best.quantisation, facts=speed_and_loss(best)
    )
    return join_sentences((sentence, exact))
