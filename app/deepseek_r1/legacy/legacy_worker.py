"""The process that holds a model of an old file.

It is started as `python -m deepseek_r1.legacy.legacy_worker`, reads `LegacyCall`s from
standard input and answers each. It ends with its owner.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from deepseek_r1.core.errors import EngineFailed, R1Error
from deepseek_r1.core.process_lock import lock_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.legacy.legacy_library import library
from deepseek_r1.legacy.legacy_model import LegacyFile, LegacyModel
from deepseek_r1.legacy.legacy_process import LegacyCall, LegacyResult
from deepseek_r1.native.child_start import serve, start_child
from deepseek_r1.native.native_library import native


def main() -> None:
    """Serve the owner until it closes the pipe."""
    model: LegacyModel | None = None

    def answer(call: LegacyCall) -> LegacyResult:
        nonlocal model
        if call.method == "load":
            model = _load(*call.arguments)
            return LegacyResult(value=[model.vocabulary, model.context_length])
        assert model is not None  # noqa: S101 - the owner loads first
        return LegacyResult(value=_serve(model, call))

    serve(start_child(ChildKind.OLD_MODEL), TypeAdapter(LegacyCall), answer, _failure)


def _failure(_call: LegacyCall, error: Exception) -> R1Error:
    return EngineFailed(detail=f"{type(error).__name__}: {error}"[:400])


def _load(path: str, family: str, context_length: int) -> LegacyModel:
    lock_files([Path(path)], [], native().restrict_threads)
    return LegacyModel(
        library(), LegacyFile(Path(path), family, context_length), 0.0, lambda _fraction: True
    )


def _serve(model: LegacyModel, call: LegacyCall) -> Any:
    match call.method, call.arguments:
        case "tokenize", [text, begin]:
            return model.tokenize(text, begin=begin)
        case "compute", [tokens, past, threads]:
            return model.compute(tokens, past, threads)
        case "sample", [sampling, recent, seed]:
            return model.sample(SamplingSettings.model_validate(sampling), recent, seed)
        case "piece", [token]:
            return [model.piece(token).hex(), model.is_end(token)]
    raise EngineFailed(detail=f"unknown call {call.method}")


if __name__ == "__main__":
    main()
