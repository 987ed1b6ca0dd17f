"""The options that commands share. Those of settings are derived from the settings' declarations.

Names have hyphens; `command.normalised` accepts underscores as well.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from deepseek_r1.cli import console
from deepseek_r1.cli.command import PATH, Decorator, Function, flag, option
from deepseek_r1.core.errors import ModelFileMissing, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import models_dirs
from deepseek_r1.core.paths import STARTER_NAME, starter_model
from deepseek_r1.core.settings import (
    LEAST_CONTEXT_LENGTH,
    THINKING_BUDGETS,
    LoadSettings,
    SamplingSettings,
    default_budget,
)
from deepseek_r1.engine.prompt.template import template_names
from deepseek_r1.formats.template_file import read_template_file
from deepseek_r1.hardware import machine_memory_mib
from deepseek_r1.host.protocol import PromptCacheFolder

_MOST_TEXT_BYTES = 1 << 20
KEY_VARIABLE = "DEEPSEEK_R1_API_KEY"
# Memory of this process besides the engine, in MiB: interpreter, click, rich, pydantic.
COMMAND_LINE_MIB = 42.0

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
    """Returns the option of a setting; `attributes` replace those of its declaration."""
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


_MODEL = tr("A GGUF file, or the name of a downloaded model. Default: the starter model.")
model_option = option("--model -m --model-path model", _MODEL, PATH)
model_argument = click.argument("file", metavar="[MODEL]", type=PATH, required=False, help=_MODEL)
system_option = option(
    "--system", tr("Instructions for the model (the system prompt)."), default=""
)
precision_option = option(
    "--precision -p",
    tr("f32, f16, bf16, int8, mixed, draft, q4_k_m or a ggml type."),
    default="int8",
)
force_option = flag("--force", tr("Replace the output if it exists."))
json_option = flag(
    "--json as_json",
    tr("Print one JSON object and nothing else. Sizes (mb) are MiB, times seconds."),
)
prompt_cache_option = option(
    "--prompt-cache",
    tr(
        "A folder that keeps prompts, up to 2 GiB. The beginning that a prompt shares "
        "with an earlier one is not read again."
    ),
    PATH,
)
documents_option = option(
    "--document",
    tr("A document that the question is about, or a folder of them; may be given several times."),
    PATH,
    multiple=True,
)
budget_option = setting(LoadSettings, "memory_budget")
threads_option = setting(LoadSettings, "threads")
chat_template_option = option(
    "--chat-template",
    tr(
        "A chat template in place of the model's own: a file, or one of {names}.",
        names=", ".join(template_names()),
    ),
    metavar="NAME|FILE",
    default="",
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
    "embedding_model": {"type": PATH, "default": None},
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


def load_options(command: Function) -> Function:
    """Adds the options of a load to a command, which gets them as `load`.

    `--batch-size` is one of the published options, and changes nothing here.
    """
    options = {
        key: setting(LoadSettings, key, **_LOAD.get(key, {})) for key in LoadSettings.model_fields
    }
    options["batch_size"] = option(
        "--batch-size", tr("The most prompts to answer together."), click.IntRange(1), default=1
    )
    return _gathered("load", options, _load)(command)


def sampling_options(command: Function) -> Function:
    """Adds the options of sampling to a command, which gets them as `sampling`."""
    options = {
        key: setting(SamplingSettings, key, **_SAMPLING.get(key, {}))
        for key in SamplingSettings.model_fields
        if key not in _NOT_HERE
    }
    return _gathered("sampling", options, _sampling)(command)


def _gathered(
    name: str, options: dict[str, Decorator], make: Callable[[dict[str, Any]], Any]
) -> Decorator:
    """Returns a decorator that adds options to a command, which gets what `make` makes of them."""

    def decorate(command: Function) -> Function:
        @wraps(command)
        def gathering(**given: Any) -> None:
            values = {key: given.pop(key) for key in options}
            command(**given, **{name: make(values)})

        decorated: Function = gathering
        for each in reversed(options.values()):  # the last one is the first that is applied
            decorated = each(decorated)
        return decorated

    return decorate


def _load(values: dict[str, Any]) -> LoadSettings:
    if (n := values.pop("batch_size")) > 1:
        console.note(
            tr("--batch-size is for a program's list of prompts: {n} changes nothing here.", n=n)
        )
    if 0 < values["context_length"] < LEAST_CONTEXT_LENGTH:
        raise WrongUsage(
            detail=tr("--context-length must be 0 or at least {n}.", n=LEAST_CONTEXT_LENGTH)
        )
    values["memory_budget"] = values["memory_budget"] or default_budget(machine_memory_mib())
    for key in ("draft_model", "embedding_model"):
        path: Path | None = values[key]
        values[key] = "" if path is None else str(chosen_model(path).absolute())
    return LoadSettings(**values)


def _sampling(values: dict[str, Any]) -> SamplingSettings:
    values["stop"] = tuple(map(clean_text, values["stop"]))
    values["thinking_budget"] = _thinking_budget(values["thinking_budget"])
    try:
        return SamplingSettings(**values)
    except ValidationError as error:  # the stop sequences, or NaN: click knows the ranges
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise WrongUsage(detail=f"--{option}: {first['msg']}") from error


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
    """Returns the model given as a file or by name, or else the starter. Raises WrongUsage."""
    if path is None:
        starter = starter_model()
        if starter is None:
            raise ModelFileMissing(path=tr("of the installation"))
        return starter
    if path == Path():
        raise WrongUsage(detail=tr("No model was named."))
    if not path.exists() and not path.is_absolute():
        from deepseek_r1.catalogue.errors import ModelNotHere  # noqa: PLC0415 - rarely needed
        from deepseek_r1.catalogue.model_folder import find_model  # noqa: PLC0415

        with suppress(ModelNotHere):
            return find_model(path.as_posix(), *models_dirs())
        starter = starter_model()
        if starter is not None and str(path) in (STARTER_NAME, starter.stem, starter.name):
            return starter
    return path


def text_in(path: Path) -> str:
    """Returns the stripped text of a file. Raises WrongUsage where it has none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_TEXT_BYTES + 1)
        text = data.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(
            detail=tr("{path} cannot be read: {reason}.", path=path, reason=error)
        ) from error
    if not text or len(data) > _MOST_TEXT_BYTES:
        raise WrongUsage(detail=tr("{path} is empty or longer than 1 MiB.", path=path))
    return text


def api_key(path: Path | None) -> str:
    """Return the key from the file or the environment; empty without one. Raises WrongUsage."""
    return os.environ.get(KEY_VARIABLE, "").strip() if path is None else text_in(path)


def clean_text(text: str) -> str:
    """Returns text from the command line as valid Unicode; invalid bytes become U+FFFD."""
    return text.encode(sys.getfilesystemencoding(), "surrogateescape").decode("utf-8", "replace")
