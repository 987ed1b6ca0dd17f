"""What measuring loads: a checked text as tokens, and a model inside the memory budget."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deepseek_r1.convert.quality_errors import TextTooShort, TextUnreadable
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.llama.evaluate import Evaluator
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import default_threads_prefill
from deepseek_r1.memory.plan import ProcessShare, plan, refuse_misfit

_MIB: Final = 1 << 20
_TEXT_MOST_BYTES: Final = 32 << 20
_PIECES: Final = (64, 32, 16)  # tokens at once, the most first: all their logits are in memory
_LOGITS_COPIES: Final = 6  # llama.cpp's two, and the intermediate results of comparing
_NUMPY_MIB: Final = 30.0
_LEAST_WINDOW: Final = 256  # of the settings a bill is made from


def read_text(path: Path) -> str:
    """The text in a file. Raises TextUnreadable."""
    try:
        if path.stat().st_size > _TEXT_MOST_BYTES:
            detail = tr("It is larger than {mib} MiB.", mib=_TEXT_MOST_BYTES // _MIB)
            raise TextUnreadable(path=str(path), detail=detail)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        detail = tr("The system says: {detail}.", detail=error.strerror or str(error))
        raise TextUnreadable(path=str(path), detail=detail) from error
    except UnicodeDecodeError as error:
        raise TextUnreadable(path=str(path), detail=tr("It is not in UTF-8.")) from error


def piece_within(header: ModelHeader, window: int, budget_mib: int, extra_mib: float = 0.0) -> int:
    """How many tokens can be computed at once. Raises BudgetTooSmall where not even a few can.

    The budget counts this process; `extra_mib` is what the caller keeps beside the model.
    """
    for piece in _PIECES:
        rows_mib = _LOGITS_COPIES * piece * header.vocabulary * 4 / _MIB
        settings = LoadSettings(
            memory_budget=budget_mib, context_length=max(window, _LEAST_WINDOW), micro_batch=piece
        )
        share = ProcessShare(window_mib=rows_mib + _NUMPY_MIB + extra_mib)
        bill = plan(header, settings, share)
        if bill.fits or piece == _PIECES[-1]:
            refuse_misfit(bill, header, settings, share)
            break
    return piece


def load(header: ModelHeader, window: int, piece: int, threads: int, on_node: int = 0) -> Evaluator:
    """The model, ready to compute; `threads` 0: as many as suit the machine."""
    return Evaluator(header, window, piece, threads or default_threads_prefill(), on_node)


def windows(evaluator: Evaluator, text: str, window: int, most: int) -> list[list[int]]:
    """The text in pieces of `window` tokens, at most `most` of them; the rest is left out.

    Each begins as the model expects a text to begin. Raises TextTooShort.
    """
    model = evaluator.model
    tokens = model.tokenize(text, special=False)
    start = [model.bos] if model.adds_bos else []
    step = window - len(start)
    if len(tokens) < step:
        raise TextTooShort(tokens=len(tokens), needed=step)
    cut = [start + tokens[at : at + step] for at in range(0, len(tokens) - step + 1, step)]
    return cut[:most]
