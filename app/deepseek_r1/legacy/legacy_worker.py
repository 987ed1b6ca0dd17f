"""The process that holds a model of an old file.

It is started as `python -m deepseek_r1.legacy.legacy_worker`, reads `LegacyCall`s from
standard input and answers each. It ends with its owner.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.errors import EngineFailed, R1Error
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.private_pipes import private_pipes
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.hardware.process_lock import lock_files, lock_process
from deepseek_r1.legacy.legacy_library import library
from deepseek_r1.legacy.legacy_model import LegacyFile, LegacyModel
from deepseek_r1.legacy.legacy_process import LegacyCall, LegacyFailure, LegacyResult
from deepseek_r1.native.native_library import native
from deepseek_r1.native.owner_watch import end_with_owner


def main() -> None:
    """Serve the owner until it closes the pipe."""
    pipe_in, pipe_out = private_pipes()  # the library prints
    source, sink = os.fdopen(pipe_in, "rb", buffering=0), os.fdopen(pipe_out, "wb", buffering=0)
    lock_process()  # before the first thread; `doctor` shows what the system does not support
    end_with_owner(pipe_in, thread_lasts=False)
    faulthandler.enable()
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    adapter = TypeAdapter(LegacyCall)
    model: LegacyModel | None = None
    while (body := frames.read(source, frames.TO_CHILD_CAP)) is not None:
        call = frames.parse(body, adapter)
        reply: LegacyResult | LegacyFailure
        try:
            if call.method == "load":
                model = _load(*call.arguments)
                value: Any = [model.vocabulary, model.context_length]
            else:
                assert model is not None  # noqa: S101 - the owner loads first
                value = _serve(model, call)
            reply = LegacyResult(value=value)
        except R1Error as error:
            reply = LegacyFailure(report=error.report())
        except Exception as error:  # noqa: BLE001 - reported to the owner
            failed = EngineFailed(detail=f"{type(error).__name__}: {error}"[:400])
            reply = LegacyFailure(report=failed.report())
        frames.write(sink, frames.pack(reply, frames.FROM_CHILD_CAP))
    os._exit(0)


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
