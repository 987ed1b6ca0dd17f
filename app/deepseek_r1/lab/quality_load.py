"""Loads the inputs of a measurement: a checked text as tokens, and a model within the budget."""

from pathlib import Path
from typing import Final

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.llama.binding.evaluate import Evaluator
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import cpu
from deepseek_r1.lab.errors import TextTooShort, TextUnreadable
from deepseek_r1.memory.advice import refuse_misfit
from deepseek_r1.memory.plan import ProcessOverhead, plan

_MIB: Final = 1 << 20
_TEXT_MOST_BYTES: Final = 32 << 20
_PIECES: Final = (64, 32, 16)  # tokens per batch, the largest first; all their logits are in memory
_LOGITS_COPIES: Final = 6  # two of llama.cpp, the others are intermediate results of the comparison
_NUMPY_MIB: Final = 30.0
_LEAST_WINDOW: Final = 256  # the smallest context that the settings accept


def read_text(path: Path) -> str:
    """Returns the text in a file of at most 32 MiB. Raises TextUnreadable."""
    try:
        with path.open("rb") as file:  # the size of a device or a pipe is unknown
            raw = file.read(_TEXT_MOST_BYTES + 1)
        if len(raw) > _TEXT_MOST_BYTES:
            detail = tr("It is larger than {mib} MiB.", mib=_TEXT_MOST_BYTES // _MIB)
            raise TextUnreadable(path=str(path), detail=detail)
        return raw.decode()
    except OSError as error:
        detail = tr("The system reports: {detail}.", detail=error.strerror or str(error))
        raise TextUnreadable(path=str(path), detail=detail) from error
    except UnicodeDecodeError as error:
        raise TextUnreadable(path=str(path), detail=tr("It is not in UTF-8.")) from error


def piece_within(header: ModelHeader, window: int, budget_mib: int, extra_mib: float = 0.0) -> int:
    """Returns the batch size in tokens that fits the budget. Raises BudgetTooSmall.

    The budget includes this process; `extra_mib` is memory that the caller needs.
    """
    for piece in _PIECES:
        rows_mib = _LOGITS_COPIES * piece * header.vocabulary * 4 / _MIB
        settings = LoadSettings(
            memory_budget=budget_mib, context_length=max(window, _LEAST_WINDOW), micro_batch=piece
        )
        share = ProcessOverhead(window_mib=rows_mib + _NUMPY_MIB + extra_mib)
        bill = plan(header, settings, share).bill
        if bill.fits or piece == _PIECES[-1]:
            refuse_misfit(bill, header, settings, share)
            break
    return piece


def load(header: ModelHeader, window: int, piece: int, threads: int, on_node: int = 0) -> Evaluator:
    """Returns the loaded model. `threads` 0: as many as suit the computer."""
    return Evaluator(header, window, piece, threads or cpu().threads_prefill, on_node)


def windows(evaluator: Evaluator, text: str, window: int, most: int) -> list[list[int]]:
    """Returns at most `most` windows of `window` tokens of the text, without the rest.

    Each window begins with the tokens that the model expects at the start. Raises TextTooShort.
    """
    model = evaluator.model
    tokens = model.tokenize(text, special=False)
    start = [model.bos] if model.adds_bos else []
    step = window - len(start)
    if len(tokens) < step:
        raise TextTooShort(tokens=len(tokens), needed=step)
    cut = [start + tokens[at : at + step] for at in range(0, len(tokens) - step + 1, step)]
    return cut[:most]
