"""The options that commands share, declared from the settings: names, range, default and help.

Names have hyphens; `app.normalised` accepts underscores as well.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from deepseek_r1.core.errors import ModelFileMissing, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import models_dirs
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import (
    LEAST_CONTEXT_LENGTH,
    MOST_STOP_CHARACTERS,
    MOST_STOP_SEQUENCES,
    THINKING_BUDGETS,
    CacheStrategy,
    DraftMode,
    KVType,
    LoadSettings,
    SamplingSettings,
    default_budget,
)
from deepseek_r1.engine.template_families import template_names
from deepseek_r1.formats.template_file import read_template_file
from deepseek_r1.hardware import machine_memory_mib
from deepseek_r1.host.protocol import PromptCacheFolder

# Memory of this process besides the engine, in MiB: interpreter, typer, rich, pydantic.
COMMAND_LINE_MIB = 42.0


def _option(
    model: type[LoadSettings | SamplingSettings], key: str, *names: str, default: str = ""
) -> Any:
    texts = model.info(key)
    unit = f" ({tr(texts.unit)})" if texts.unit else ""
    least_most: dict[str, Any] = {}
    try:
        least, most = model.bounds(key)
    except KeyError:  # a choice or a switch
        pass
    else:
        whole = model.model_fields[key].annotation is int
        least_most = {"min": int(least) if whole else least, "max": int(most) if whole else most}
    return typer.Option(
        *names, help=tr(texts.help) + unit, show_default=default or True, **least_most
    )


ModelPath = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        "--model-path",
        help=tr("A GGUF file, or the name of a downloaded model. Default: the starter model."),
    ),
]
ModelArgument = Annotated[
    Path | None,
    typer.Argument(
        help=tr("A GGUF file, or the name of a downloaded model. Default: the starter model.")
    ),
]
System = Annotated[
    str, typer.Option("--system", help=tr("Instructions for the model (the system prompt)."))
]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision", "-p", help=tr("f32, f16, bf16, int8, mixed, draft, q4_k_m or a ggml type.")
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

PromptCacheDir = Annotated[
    Path | None,
    typer.Option(
        "--prompt-cache",
        help=tr(
            "A folder that keeps prompts, up to 2 GiB. The beginning that a prompt shares "
            "with an earlier one is not read again."
        ),
    ),
]

MemoryBudget = Annotated[int, _option(LoadSettings, "memory_budget", "--memory-budget")]
LoadBudget = Annotated[
    int | None,
    _option(
        LoadSettings,
        "memory_budget",
        "--memory-budget",
        default=tr("{n}, or less in a container with less memory", n=LoadSettings().memory_budget),
    ),
]
Threads = Annotated[int, _option(LoadSettings, "threads", "--threads", "--thread-count")]
ThreadsPrefill = Annotated[int, _option(LoadSettings, "threads_prefill", "--threads-prefill")]
ContextLength = Annotated[
    int,
    _option(LoadSettings, "context_length", "--context-length", default=tr("0, automatic")),
]
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
Drafts = Annotated[DraftMode, _option(LoadSettings, "drafts", "--drafts")]
DraftModel = Annotated[
    Path | None, typer.Option("--draft-model", help=tr(LoadSettings.info("draft_model").help))
]
BatchSize = Annotated[
    int,
    typer.Option("--batch-size", min=1, help=tr("The most prompts to answer together.")),
]

MaxTokens = Annotated[int, _option(SamplingSettings, "max_tokens", "--max-tokens")]
Temperature = Annotated[float, _option(SamplingSettings, "temperature", "--temperature")]
TopP = Annotated[float, _option(SamplingSettings, "top_p", "--top-p")]
TopK = Annotated[int, _option(SamplingSettings, "top_k", "--top-k")]
MinP = Annotated[float, _option(SamplingSettings, "min_p", "--min-p")]
RepeatPenalty = Annotated[float, _option(SamplingSettings, "repeat_penalty", "--repeat-penalty")]
PresencePenalty = Annotated[
    float, _option(SamplingSettings, "presence_penalty", "--presence-penalty")
]
FrequencyPenalty = Annotated[
    float, _option(SamplingSettings, "frequency_penalty", "--frequency-penalty")
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        "--stop", help=tr(SamplingSettings.info("stop").help) + " " + tr("May be repeated.")
    ),
]
Seed = Annotated[int, _option(SamplingSettings, "seed", "--seed")]
EndRepetition = Annotated[
    bool, _option(SamplingSettings, "end_repetition", "--end-repetition/--no-end-repetition")
]
ThinkingBudget = Annotated[
    str,
    typer.Option(
        "--thinking-budget",
        metavar="[" + "|".join(THINKING_BUDGETS) + "|N]",
        help=tr(SamplingSettings.info("thinking_budget").help)
        + " ("
        + ", ".join(f"{name}: {n:,}" for name, n in THINKING_BUDGETS.items() if n is not None)
        + ")",
    ),
]
ChatTemplateOption = Annotated[
    str,
    typer.Option(
        "--chat-template",
        metavar="NAME|FILE",
        help=tr(
            "A chat template in place of the model's own: a file, or one of {names}.",
            names=", ".join(template_names()),
        ),
    ),
]

LOAD = LoadSettings()  # the defaults of the options
SAMPLING = SamplingSettings()


class LoadOptions(NamedTuple):
    """The options of a load. `batch_size` is accepted, with a note that it changes nothing."""

    settings: LoadSettings
    batch_size: int


def _load(
    *,
    memory_budget: LoadBudget = None,
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
    drafts: Drafts = LOAD.drafts,
    draft_model: DraftModel = None,
) -> LoadOptions:
    if 0 < context_length < LEAST_CONTEXT_LENGTH:
        raise WrongUsage(
            detail=tr("--context-length must be 0 or at least {n}.", n=LEAST_CONTEXT_LENGTH)
        )
    settings = LoadSettings(
        memory_budget=memory_budget or default_budget(machine_memory_mib()),
        threads=threads,
        threads_prefill=threads_prefill,
        context_length=context_length,
        micro_batch=micro_batch,
        kv_type=kv_type,
        swap_enabled=swap_enabled,
        cache_strategy=cache_strategy,
        enable_chunk_loading=enable_chunk_loading,
        chunk_size_kib=chunk_size,
        drafts=drafts,
        draft_model="" if draft_model is None else str(chosen_model(draft_model).absolute()),
    )
    return LoadOptions(settings, batch_size)


def _sampling(
    *,
    max_tokens: MaxTokens = SAMPLING.max_tokens,
    temperature: Temperature = SAMPLING.temperature,
    top_p: TopP = SAMPLING.top_p,
    top_k: TopK = SAMPLING.top_k,
    min_p: MinP = SAMPLING.min_p,
    repeat_penalty: RepeatPenalty = SAMPLING.repeat_penalty,
    presence_penalty: PresencePenalty = SAMPLING.presence_penalty,
    frequency_penalty: FrequencyPenalty = SAMPLING.frequency_penalty,
    stop: Stop = None,
    thinking_budget: ThinkingBudget = "unlimited",
    end_repetition: EndRepetition = SAMPLING.end_repetition,
    seed: Seed = SAMPLING.seed,
) -> SamplingSettings:
    return SamplingSettings(
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        repeat_penalty=repeat_penalty,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        stop=_stop_sequences(stop or []),
        thinking_budget=_thinking_budget(thinking_budget),
        end_repetition=end_repetition,
        seed=seed,
    )


def _stop_sequences(given: list[str]) -> tuple[str, ...]:
    texts = tuple(map(clean_text, given))
    fitting = all(0 < len(text) <= MOST_STOP_CHARACTERS for text in texts)
    if len(texts) > MOST_STOP_SEQUENCES or not fitting:
        raise WrongUsage(
            detail=tr(
                "--stop takes up to {n} texts of 1 to {most} characters.",
                n=MOST_STOP_SEQUENCES,
                most=MOST_STOP_CHARACTERS,
            )
        )
    return texts


def _thinking_budget(given: str) -> int | None:
    least, most = map(int, SamplingSettings.bounds("thinking_budget"))
    if given in THINKING_BUDGETS:
        return THINKING_BUDGETS[given]
    if given.isdecimal() and least <= int(given) <= most:
        return int(given)
    raise WrongUsage(
        detail=tr(
            "--thinking-budget takes {names} or a number of tokens, not “{given}”.",
            names=", ".join(THINKING_BUDGETS),
            given=clean_text(given),
        )
    )


_GROUPS: dict[object, Callable[..., object]] = {LoadOptions: _load, SamplingSettings: _sampling}


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces a parameter of a group's type by all options of the group."""
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    keys: dict[str, list[str]] = {}  # the options of each such parameter
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


def chat_template(given: str) -> str:
    """Returns the name of a chat template, or the source in a file. Raises WrongUsage."""
    if not given or given in template_names():
        return given
    path = Path(given)
    if not path.exists():
        raise WrongUsage(
            detail=tr(
                "“{name}” is neither a file nor a chat template. There are: {names}.",
                name=clean_text(given),
                names=", ".join(template_names()),
            )
        )
    return read_template_file(path)


def prompt_cache_folder(path: Path | None) -> PromptCacheFolder | None:
    """Returns the folder as an argument of a load."""
    if path is None:
        return None
    return PromptCacheFolder(path=str(path.absolute()), save_answers=True)


def chosen_model(path: Path | None) -> Path:
    """Returns the model given as a file or by name, or else the starter model."""
    if path is not None:
        return path if path.exists() or path.is_absolute() else _model_named(path)
    starter = starter_model()
    if starter is None:
        raise ModelFileMissing(path=tr("of the installation"))
    return starter


def _model_named(path: Path) -> Path:
    """Returns a model of the models' folder, or `path` itself if none has this name."""
    from deepseek_r1.catalogue.errors import ModelNotHere  # noqa: PLC0415 - rarely needed
    from deepseek_r1.catalogue.model_folder import find_model  # noqa: PLC0415

    try:
        return find_model(path.as_posix(), *models_dirs())
    except ModelNotHere:
        return path


def clean_text(text: str) -> str:
    """Returns text from the command line as valid Unicode; invalid bytes become U+FFFD."""
    return text.encode(sys.getfilesystemencoding(), "surrogateescape").decode("utf-8", "replace")
