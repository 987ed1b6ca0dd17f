"""The options that commands share. Those of settings are derived from the settings' declarations.

Names have hyphens; `command.normalised` accepts underscores as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from deepseek_r1.cli.command import PATH
from deepseek_r1.core.errors import ModelFileMissing, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import models_dirs
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import (
    LEAST_CONTEXT_LENGTH,
    MOST_STOP_CHARACTERS,
    MOST_STOP_SEQUENCES,
    THINKING_BUDGETS,
    LoadSettings,
    SamplingSettings,
    default_budget,
)
from deepseek_r1.engine.prompt.template_families import template_names
from deepseek_r1.formats.template_file import read_template_file
from deepseek_r1.hardware import machine_memory_mib
from deepseek_r1.host.protocol import PromptCacheFolder

# Memory of this process besides the engine, in MiB: interpreter, click, rich, pydantic.
COMMAND_LINE_MIB = 42.0

Function = Callable[..., None]
Decorator = Callable[[Function], Function]

# The names of options that are not the setting's key with hyphens, or more than that.
_NAMES: dict[str, tuple[str, ...]] = {
    "threads": ("--threads", "--thread-count"),
    "enable_chunk_loading": ("--enable-chunk-loading/--no-chunk-loading",),
    "chunk_size_kib": ("--chunk-size", "--chunk-size-kib"),
}
_NOT_HERE = ("logit_bias", "logprobs", "top_logprobs")  # these are for programs


def choice(kind: type[Enum]) -> click.Choice[str]:
    """Returns the values of an enumeration as a choice of words."""
    return click.Choice([each.value for each in kind])


def setting(model: type[LoadSettings | SamplingSettings], key: str, **attributes: Any) -> Decorator:
    """Returns the option of one setting: its names, kind, range, default and help.

    `attributes` replace those of the declaration.
    """
    texts, field = model.info(key), model.model_fields[key]
    names = _NAMES.get(key, ("--" + key.replace("_", "-"),))
    if field.annotation is bool and "/" not in names[0]:
        names = (f"{names[0]}/--no-{names[0][2:]}",)
    unit = f" ({tr(texts.unit)})" if texts.unit else ""
    declared = {
        "type": _kind(model, key),
        "default": getattr(field.default, "value", field.default),
        "help": tr(texts.help) + unit,
    }
    return click.option(key, *names, **declared | attributes)


def _kind(model: type[LoadSettings | SamplingSettings], key: str) -> Any:
    annotation = model.model_fields[key].annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return choice(annotation)
    try:
        least, most = model.bounds(key)
    except KeyError:  # a switch or a text
        return annotation if annotation is bool else str
    if annotation is int:
        return click.IntRange(int(least), int(most))
    return click.FloatRange(least, most)


model_option = click.option(
    "--model",
    "-m",
    "--model-path",
    "model",
    type=PATH,
    help=tr("A GGUF file, or the name of a downloaded model. Default: the starter model."),
)
model_argument = click.argument(
    "file",
    metavar="[MODEL]",
    type=PATH,
    required=False,
    help=tr("A GGUF file, or the name of a downloaded model. Default: the starter model."),
)
system_option = click.option(
    "--system", default="", help=tr("Instructions for the model (the system prompt).")
)
precision_option = click.option(
    "--precision",
    "-p",
    default="int8",
    help=tr("f32, f16, bf16, int8, mixed, draft, q4_k_m or a ggml type."),
)
force_option = click.option("--force", is_flag=True, help=tr("Replace the output if it exists."))
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help=tr("Print one JSON object and nothing else. Sizes (mb) are MiB, times seconds."),
)
prompt_cache_option = click.option(
    "--prompt-cache",
    type=PATH,
    help=tr(
        "A folder that keeps prompts, up to 2 GiB. The beginning that a prompt shares "
        "with an earlier one is not read again."
    ),
)
budget_option = setting(LoadSettings, "memory_budget")
threads_option = setting(LoadSettings, "threads")
chat_template_option = click.option(
    "--chat-template",
    metavar="NAME|FILE",
    default="",
    help=tr(
        "A chat template in place of the model's own: a file, or one of {names}.",
        names=", ".join(template_names()),
    ),
)
_batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=1,
    help=tr("The most prompts to answer together."),
)
_LOAD: dict[str, dict[str, Any]] = {  # what differs from the declarations
    "memory_budget": {
        "default": None,
        "show_default": tr(
            "{n}, or less in a container with less memory", n=LoadSettings().memory_budget
        ),
    },
    "context_length": {"show_default": tr("0, automatic")},
    "draft_model": {"type": PATH, "default": None},
}
_SAMPLING: dict[str, dict[str, Any]] = {
    "stop": {
        "multiple": True,
        "default": None,
        "help": tr(SamplingSettings.info("stop").help) + " " + tr("May be repeated."),
    },
    "thinking_budget": {
        "type": str,
        "default": "unlimited",
        "metavar": "[" + "|".join(THINKING_BUDGETS) + "|N]",
        "help": tr(SamplingSettings.info("thinking_budget").help)
        + " ("
        + ", ".join(f"{name}: {n:,}" for name, n in THINKING_BUDGETS.items() if n is not None)
        + ")",
    },
}


class LoadOptions(NamedTuple):
    """The options of a load. `batch_size` is accepted, with a note that it changes nothing."""

    settings: LoadSettings
    batch_size: int


def load_options(command: Function) -> Function:
    """Adds the options of a load to a command, which gets them as `load`."""

    @wraps(command)
    def with_load(*, batch_size: int, **given: Any) -> None:
        values = {key: given.pop(key) for key in LoadSettings.model_fields}
        command(load=LoadOptions(_load(values), batch_size), **given)

    options = [
        setting(LoadSettings, key, **_LOAD.get(key, {})) for key in LoadSettings.model_fields
    ]
    return _with([*options, _batch_size_option], with_load)


def sampling_options(command: Function) -> Function:
    """Adds the options of sampling to a command, which gets them as `sampling`."""
    keys = [key for key in SamplingSettings.model_fields if key not in _NOT_HERE]

    @wraps(command)
    def with_sampling(**given: Any) -> None:
        values = {key: given.pop(key) for key in keys}
        values["stop"] = _stop_sequences(values["stop"])
        values["thinking_budget"] = _thinking_budget(values["thinking_budget"])
        command(sampling=SamplingSettings(**values), **given)

    options = [setting(SamplingSettings, key, **_SAMPLING.get(key, {})) for key in keys]
    return _with(options, with_sampling)


def _with(options: Sequence[Decorator], command: Function) -> Function:
    for option in reversed(options):  # as decorators: the last one is the first that is applied
        command = option(command)
    return command


def _load(values: dict[str, Any]) -> LoadSettings:
    if 0 < values["context_length"] < LEAST_CONTEXT_LENGTH:
        raise WrongUsage(
            detail=tr("--context-length must be 0 or at least {n}.", n=LEAST_CONTEXT_LENGTH)
        )
    values["memory_budget"] = values["memory_budget"] or default_budget(machine_memory_mib())
    draft: Path | None = values["draft_model"]
    values["draft_model"] = "" if draft is None else str(chosen_model(draft).absolute())
    return LoadSettings(**values)


def _stop_sequences(given: Iterable[str]) -> tuple[str, ...]:
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
