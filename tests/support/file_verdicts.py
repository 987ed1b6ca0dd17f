"""Hands broken model files to the real engine process and records how each was received."""

import string
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from deepseek_r1.core import errors
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.engine_session import HangLimits, RestartBudget
from support.gguf_files import ALL, tiny_bert, tiny_llama
from support.mutants import mutants

DEADLINE_S = 10.0
SETTINGS = LoadSettings(context_length=256, micro_batch=64, threads=1, threads_prefill=1)
SAMPLING = SamplingSettings(max_tokens=1, seed=1)
PROMPT = "Héllo, wörld!\n\n<|im_start|> 你好 😀 1234 \t  </s>"
# The loader's own refusals; every other ModelRefused comes before native code sees the file.
BY_LOADER = (errors.ModelLoadFailed, errors.TemplateUnusable)


class Verdict(StrEnum):
    """How a file was received. All but the last are as they should be."""

    REFUSED = "refused by the header's check"
    REFUSED_BY_LOADER = "refused by the engine's loader"
    ANSWERED = "loaded, and a token generated"
    FAILED = "loaded, and the answer failed with a message"
    DIED = "the engine died, with a message"
    VIOLATION = "VIOLATION"


@dataclass
class CheckedFile:
    """One file's verdict, in `seconds`, and what was said."""

    label: str
    verdict: Verdict
    code: str
    text: str
    seconds: float
    data: bytes = field(repr=False)


class FileChecker:
    """One engine process for as long as it lives; a dead one is replaced by the client."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "mutant.gguf"
        self._chat = tiny_llama(folder / "chat.gguf")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._client = self._stack.enter_context(
            EngineClient(
                limits=HangLimits(loop_s=DEADLINE_S - 2), budget=RestartBudget(restarts=1_000_000)
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        """The engine's process."""
        pid = self._client.pid
        assert pid is not None
        return pid

    def check(self, label: str, data: bytes, *, embedding: bool = False) -> CheckedFile:
        """Let the engine open, load and run a file; an `embedding` model beside a chat model."""
        self._path.write_bytes(data)
        start = time.perf_counter()
        code, text, verdict = "", "", Verdict.ANSWERED
        try:
            if embedding:
                other = {"embedding_model": str(self._path)}
                self._client.load(self._chat, SETTINGS.model_copy(update=other))
            else:
                self._client.load(self._path, SETTINGS)
            verdict = Verdict.FAILED
            if embedding:
                self._client.similarities(PROMPT, ("one", "two " * 600))
            else:
                for _ in self._client.generate(PROMPT, SAMPLING):
                    pass
            verdict = Verdict.ANSWERED
        except errors.R1Error as error:
            code, text = type(error).__name__, str(error)
            verdict = _verdict(error, loaded=verdict is Verdict.FAILED)
        except Exception as error:  # noqa: BLE001 - exactly what this looks for
            code, text, verdict = type(error).__name__, repr(error), Verdict.VIOLATION
        seconds = time.perf_counter() - start
        if seconds > DEADLINE_S:
            verdict = Verdict.VIOLATION
        return CheckedFile(label, verdict, code, text, seconds, data)


def _verdict(error: errors.R1Error, *, loaded: bool) -> Verdict:
    if not _is_complete(error):
        return Verdict.VIOLATION
    if isinstance(error, errors.EngineDied | errors.EngineOutOfMemory | errors.EngineHung):
        return Verdict.DIED
    if isinstance(error, BY_LOADER):
        return Verdict.FAILED if loaded else Verdict.REFUSED_BY_LOADER
    if loaded:
        return Verdict.FAILED
    if isinstance(error, errors.ModelRefused):
        return Verdict.REFUSED
    return Verdict.VIOLATION  # a message, but not about the file


def _is_complete(error: errors.R1Error) -> bool:
    """Says what happened, and has every fact that its sentences ask for."""
    sentences = (error.what, error.why, error.todo)
    places = {name for text in sentences for _, name, _, _ in string.Formatter().parse(text)}
    return bool(error.what) and places <= {None, *error.facts}


def checked_mutants(folder: Path, seed: int) -> Iterator[CheckedFile]:
    """Endless mutants of the tiny models in turn, each checked."""
    sources = [make(folder / f"{make.__name__}.gguf") for make in (*ALL, tiny_bert)]
    streams = [mutants(source.read_bytes(), seed + n) for n, source in enumerate(sources)]
    in_turn = ((stream is streams[-1], *next(stream)) for _ in iter(int, 1) for stream in streams)
    with FileChecker(folder) as checker:
        for embedding, label, data in in_turn:
            yield checker.check(label, data, embedding=embedding)
