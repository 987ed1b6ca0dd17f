"""Options shared by the commands, declared from the settings: names, range, default and help.

Names are given with hyphens; `app.normalised` accepts underscores as well.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deepseek_r1.core.errors import ModelFileMissing
from deepseek_r1.core.paths import starter_model, user_models_dir
from deepseek_r1.core.settings import CacheStrategy, KVType, LoadSettings, SamplingSettings
from deepseek_r1.core.words import tr

# What this process takes itself while the engine works, in MiB: interpreter, typer, rich, pydantic.
COMMAND_LINE_MIB = 42.0


def _option(model: type[LoadSettings | SamplingSettings], key: str, *names: str) -> Any:
    words = model.words(key)
    unit = f" ({tr(words.unit)})" if words.unit else ""
    least_most: dict[str, Any] = {}
    try:
        least, most = model.bounds(key)
    except KeyError:  # a choice or a switch
        pass
    else:
        whole = model.model_fields[key].annotation is int
        least_most = {"min": int(least) if whole else least, "max": int(most) if whole else most}
    return typer.Option(*names, help=tr(words.help) + unit, **least_most)


ModelPath = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        "--model-path",
        help=tr("A GGUF file, or the name of a model that was pulled. Default: the starter model."),
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help=tr("Print one JSON object and nothing else. Sizes (mb) are MiB, times seconds."),
    ),
]

MemoryBudget = Annotated[int, _option(LoadSettings, "memory_budget", "--memory-budget")]
Threads = Annotated[int, _option(LoadSettings, "threads", "--threads", "--thread-count")]
ThreadsPrefill = Annotated[int, _option(LoadSettings, "threads_prefill", "--threads-prefill")]
ContextLength = Annotated[int, _option(LoadSettings, "context_length", "--context-length")]
MicroBatch = Annotated[int, _option(LoadSettings, "micro_batch", "--micro-batch")]
KVPrecision = Annotated[KVType, _option(LoadSettings, "kv_type", "--kv-type")]
SwapEnabled = Annotated[bool, _option(LoadSettings, "swap_enabled", "--swap-enabled")]
Strategy = Annotated[CacheStrategy, _option(LoadSettings, "cache_strategy", "--cache-strategy")]
ChunkLoading = Annotated[
    bool,
    _option(LoadSettings, "enable_chunk_loading", "--enable-chunk-loading/--no-chunk-loading"),
]
ChunkSize = Annotated[
    int, _option(LoadSettings, "chunk_size_kib", "--chunk-size", "--chunk-size-kib")
]
BatchSize = Annotated[
    int,
    typer.Option("--batch-size", min=1, help=tr("The most prompts that are answered together.")),
]

MaxTokens = Annotated[int, _option(SamplingSettings, "max_tokens", "--max-tokens")]
Temperature = Annotated[float, _option(SamplingSettings, "temperature", "--temperature")]
TopP = Annotated[float, _option(SamplingSettings, "top_p", "--top-p")]
TopK = Annotated[int, _option(SamplingSettings, "top_k", "--top-k")]
MinP = Annotated[float, _option(SamplingSettings, "min_p", "--min-p")]
RepeatPenalty = Annotated[float, _option(SamplingSettings, "repeat_penalty", "--repeat-penalty")]
Seed = Annotated[int, _option(SamplingSettings, "seed", "--seed")]

LOAD = LoadSettings()  # the defaults of the options
SAMPLING = SamplingSettings()


def chosen_model(path: Path | None) -> Path:
    """The model asked for, as a file or by its name, or the one that came with the installation."""
    if path is not None:
        return path if path.exists() or path.is_absolute() else _model_named(path)
    starter = starter_model()
    if starter is None:
        raise ModelFileMissing(path=tr("of the installation"))
    return starter


def _model_named(path: Path) -> Path:
    """A model of the models' folder; `path` itself where none has this name."""
    from deepseek_r1.catalogue.errors import ModelNotHere  # noqa: PLC0415 - seldom wanted
    from deepseek_r1.catalogue.keeping import find_model  # noqa: PLC0415

    try:
        return find_model(path.as_posix(), user_models_dir())
    except ModelNotHere:
        return path


def clean_text(text: str) -> str:
    """Text from the command line as Unicode: bytes that were none become a question mark."""
    return text.encode(sys.getfilesystemencoding(), "surrogateescape").decode("utf-8", "replace")
