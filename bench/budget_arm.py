"""One arm of the budget benchmark in a child process: reads a request, prints its times as JSON."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1.core.errors import ModelLoadFailed
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.lab.engine_run import ProcessCounters, RunRequest, RunTimes, measure_engine

_FIRST_TOKEN = 1024  # any, but each another one: they choose a mixture's experts
_MICRO_BATCH = 256


class ArmRequest(RunRequest):
    """A run of our engine, or of llama.cpp alone with the file mapped or read to memory."""

    kind: Literal["ours", "mapped", "resident"]


class BareModel:
    """The shortest loop over llama.cpp's functions: no text, no sampling, no events.

    The file is mapped and not repacked, or read and repacked.
    """

    def __init__(self, request: ArmRequest) -> None:
        """Raises ModelLoadFailed, EngineStartFailed."""
        native = library()
        self._api = api = native.api
        mapped, params = request.kind == "mapped", api.llama_model_default_params()
        params.n_gpu_layers = 0
        params.load_mode = api.LLAMA_LOAD_MODE_MMAP if mapped else api.LLAMA_LOAD_MODE_NONE
        params.use_extra_bufts = not mapped  # repacking would be a second copy of a mapped file
        self._model: Any = api.llama_model_load_from_file(os.fsencode(request.model), params)
        if not self._model:
            raise ModelLoadFailed(path=str(request.model), detail=native.log.last_error())
        shape = api.llama_context_default_params()
        shape.n_ctx, shape.n_outputs_max = request.context_length, 1
        shape.n_batch = shape.n_ubatch = _MICRO_BATCH
        shape.n_threads = shape.n_threads_batch = request.threads
        self._context: Any = api.llama_init_from_model(self._model, shape)
        self._next = _FIRST_TOKEN
        if not self._context:
            raise ModelLoadFailed(path=str(request.model), detail=native.log.last_error())

    def read(self, count: int) -> None:
        """Compute a prompt."""
        for done in range(0, count, _MICRO_BATCH):
            self._compute(min(_MICRO_BATCH, count - done))

    def write(self, count: int) -> None:
        """Compute tokens one by one."""
        for _ in range(count):
            self._compute(1)

    def _compute(self, count: int) -> None:
        tokens = (self._api.llama_token * count)(*range(self._next, self._next + count))
        self._next += count
        self._api.llama_decode(self._context, self._api.llama_batch_get_one(tokens, count))


def run_llama(request: ArmRequest) -> RunTimes:
    """Times llama.cpp alone."""
    model = BareModel(request)
    loaded_at = time.monotonic()
    model.read(request.prompt_tokens)
    read_at, before = time.monotonic(), ProcessCounters()
    model.write(request.tokens)
    written_at, after = time.monotonic(), ProcessCounters()
    return RunTimes(
        tok_s=request.tokens / (written_at - read_at),
        prefill_tok_s=request.prompt_tokens / (read_at - loaded_at),
        first_token_s=read_at - request.started_at,
        threads=request.threads,
        **after.since(before, request.tokens),
    )


if __name__ == "__main__":
    wanted = ArmRequest.model_validate_json(sys.stdin.read())
    print((measure_engine if wanted.kind == "ours" else run_llama)(wanted).model_dump_json())
