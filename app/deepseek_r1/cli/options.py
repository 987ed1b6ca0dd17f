"""Options shared by the commands, declared from the settings: names, range, default and help.

Names are given with hyphens; `app.normalised` accepts underscores as well.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NamedTuple

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
ModelArgument = Annotated[
    Path | None,
    typer.Argument(
        help=tr("A GGUF file, or the name of a model that was pulled. Default: the starter model.")
    ),
]
System = Annotated[str, typer.Option("--system", help=tr("What the model should heed."))]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision", "-p", help=tr("f32, f16, bf16, int8, mixed, q4_k_m or a type of ggml.")
    ),
]
Force = Annotated[bool, typer.Option("--force", help=tr("Replace the output if it exists."))]
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
SwapEnabled = Annotated[
    bool, _option(LoadSettings, "swap_enabled", "--swap-enabled/--no-swap-enabled")
]
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


class Load(NamedTuple):
    """How a model is to be loaded. `batch_size` is taken and told to change nothing."""

    settings: LoadSettings
    batch_size: int


def _load(
    *,
    memory_budget: MemoryBudget = LOAD.memory_budget,
    threads: Threads = LOAD.threads,
    threads_prefill: ThreadsPrefill = LOAD.threads_prefill,
    context_length: ContextLength = LOAD.context_length,
    micro_batch: MicroBatch = LOAD.micro_batch,
    kv_type: KVPrecision = LOAD.kv_type,
    batch_size: BatchSize = 1,
    swap_enabled: SwapEnabled = LOAD.swap_enabled,
    cache_strategy: Strategy = LOAD.cache_strategy,
    enable_chunk_loading: ChunkLoading = LOAD.enable_chunk_loading,
    chunk_size: ChunkSize = LOAD.chunk_size_kib,
) -> Load:
    settings = LoadSettings(
        memory_budget=memory_budget,
        threads=threads,
        threads_prefill=threads_prefill,
        context_length=context_length,
        micro_batch=micro_batch,
        kv_type=kv_type,
        swap_enabled=swap_enabled,
        cache_strategy=cache_strategy,
        enable_chunk_loading=enable_chunk_loading,
        chunk_size_kib=chunk_size,
    )
    return Load(settings, batch_size)


def _sampling(
    *,
    max_tokens: MaxTokens = SAMPLING.max_tokens,
    temperature: Temperature = SAMPLING.temperature,
    top_p: TopP = SAMPLING.top_p,
    top_k: TopK = SAMPLING.top_k,
    min_p: MinP = SAMPLING.min_p,
    repeat_penalty: RepeatPenalty = SAMPLING.repeat_penalty,
    seed: Seed = SAMPLING.seed,
) -> SamplingSettings:
    return SamplingSettings(
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        repeat_penalty=repeat_penalty,
        seed=seed,
    )


_GROUPS: dict[object, Callable[..., object]] = {Load: _load, SamplingSettings: _sampling}


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with all options of a group where it has a parameter of the group's type."""
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    keys: dict[str, list[str]] = {}  # of the options of each such parameter
    groups: dict[str, Callable[..., object]] = {}
    for name, parameter in signature.parameters.items():
        group = _GROUPS.get(parameter.annotation)
        if group is None:
            parameters.append(parameter)
            continue
        own = inspect.signature(group, eval_str=True).parameters
        parameters.extend(own.values())
        keys[name], groups[name] = list(own), group

    @wraps(command)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{key: given.pop(key) for key in keys[name]})
        command(**given)

    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called


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
