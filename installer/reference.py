#!/usr/bin/env python3
"""Write docs/reference from the docstrings, the settings and the commands in the code.

python installer/reference.py            # write what has changed
python installer/reference.py --check    # fail if a page is stale
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
sys.path.insert(0, str(ROOT / "app"))

NOTE = "<!-- Written by installer/reference.py from the code. Edit the docstrings instead. -->\n\n"
# A page's name, its title, and the modules whose public classes and functions it lists.
PAGES = {
    "library": (
        "The library",
        (
            "deepseek_r1.inference.cpu_inference",
            "deepseek_r1.inference.async_inference",
            "deepseek_r1.engine.interface",
        ),
    ),
    "messages": ("Messages", ("deepseek_r1.core.messages",)),
    "events": ("Events of the engine", ("deepseek_r1.core.events",)),
    "engine-process": ("The engine in a process of its own", ("deepseek_r1.host.client",)),
    "comparison": ("Comparing models", ("deepseek_r1.host.comparison",)),
    "checks": ("Checks of the computer", ("deepseek_r1.checks.finding", "deepseek_r1.checks")),
}
_NOT_FOR_CALLERS = {
    "Engine", "OpenRequest", "VocabularyMap", "compared_vocabularies", "engine_name",
    "package_version",
}  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """Yields (file name, text) of every page."""
    for name, (title, modules) in PAGES.items():
        yield f"{name}.md", NOTE + f"# {title}\n\n" + "".join(map(_module, modules))
    yield "settings.md", NOTE + "# Settings\n\n" + _settings()
    yield "errors.md", NOTE + "# Errors\n\n" + _errors()
    yield "command-line.md", NOTE + "# The command line\n\n" + _commands()


def _module(name: str) -> str:
    module = importlib.import_module(name)
    parts = [f"## `{name}`\n\n{_text(module)}\n\n"]
    for key, value in vars(module).items():
        own = getattr(value, "__module__", "") == name
        if own and not key.startswith("_") and key not in _NOT_FOR_CALLERS:
            if inspect.isclass(value):
                parts.append(_class(key, value))
            elif inspect.isfunction(value):
                parts.append(_function(key, value, "###"))
    return "".join(parts)


def _class(name: str, kind: type) -> str:
    parts = [f"### class `{name}`\n\n{_text(kind)}\n\n"]
    fields = getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {})
    rows = [f"- `{key}`: {_type(kind, key)}" for key in fields if key in kind.__annotations__]
    if rows:
        parts.append("\n".join(rows) + "\n\n")
    if issubclass(kind, str):  # an enumeration of strings
        parts.append("".join(f"- `{member.value}`\n" for member in kind) + "\n")  # type: ignore[attr-defined]
    bases = (each for each in reversed(kind.__mro__) if "inference" in each.__module__)
    members = {key: value for each in (*bases, kind) for key, value in vars(each).items()}
    for key, value in members.items():
        if key == "__init__" and _text(value) and not fields:
            parts.append(_function(name, value, "####"))
        elif not key.startswith("_") and inspect.isfunction(value):
            parts.append(_function(key, value, "####"))
        elif not key.startswith("_") and isinstance(value, property):
            parts.append(f"#### `{key}`\n\n{_text(value)}\n\n")
    return "".join(parts)


def _type(kind: type, key: str) -> str:
    return f"`{kind.__annotations__[key]}`".replace("typing.", "")


def _function(name: str, function: Any, mark: str) -> str:
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))
    signature = re.sub(r"<function .* at 0x[0-9a-f]+>", "…", signature)
    signature = signature.replace("(self, ", "(").replace("(self)", "()")
    return f"{mark} `{name}{signature}`\n\n{_text(function)}\n\n"


def _text(thing: Any) -> str:
    """Returns a docstring with its indented examples as code."""
    lines, code = [], False
    for line in (inspect.getdoc(thing) or "").splitlines():
        inside = line.startswith("    ") or (code and not line)
        if inside != code:
            spare = 0
            while code and lines and not lines[-1]:
                spare += lines.pop() == ""
            lines += ["```python"] if inside else ["```", *[""] * spare]
            code = inside
        lines.append(line[4:] if code else line)
    return "\n".join([*lines, "```"] if code else lines)


def _settings() -> str:
    settings = importlib.import_module("deepseek_r1.core.settings")
    parts = []
    for kind in (settings.LoadSettings, settings.SamplingSettings, settings.PromptCacheSettings):
        parts.append(f"## `{kind.__name__}`\n\n{_text(kind)}\n\n")
        parts.append(
            "| key | default | range | in force | meaning |\n| --- | --- | --- | --- | --- |\n"
        )
        for key, field in kind.model_fields.items():
            info = kind.info(key)
            try:
                scope = " to ".join(f"{bound:,}" for bound in kind.bounds(key))
            except KeyError:
                scope = ", ".join(getattr(field.annotation, "__members__", {})).lower()
                scope = "on, off" if field.annotation is bool else scope
            unit = f" {info.unit}" if info.unit else ""
            default = "no limit" if field.default is None else f"{field.default}{unit}"
            row = (f"`{key}`", default, scope, info.applies.value, info.help)
            parts.append(_row(*row))
        parts.append("\n")
    return "".join(parts)


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |\n"


def _errors() -> str:
    errors = importlib.import_module("deepseek_r1.core.errors")
    head = _row("error", "exit status", "what happened", "what to do") + _row(*["---"] * 4)
    parts = [f"{_text(errors)}\n\n{head}"]
    for kind in vars(errors).values():
        if (
            inspect.isclass(kind)
            and issubclass(kind, errors.R1Error)
            and kind is not errors.R1Error
        ):
            parts.append(f"| `{kind.__name__}` | {kind.exit_code} | {kind.what} | {kind.todo} |\n")
    return "".join(parts)


def _commands() -> str:
    root = importlib.import_module("deepseek_r1.cli.app").app
    parts = ["Every option may be written with hyphens or with underscores.\n\n"]
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        if hasattr(command, "commands"):
            for sub, inner in command.commands.items():
                parts.append(_command(f"{name} {sub}", inner))
        else:
            parts.append(_command(name, command))
    return "".join(parts)


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command)
    arguments = " ".join(
        each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)
    )
    line = f"deepseek-r1 {name} {arguments}".rstrip()
    help_text = inspect.cleandoc(command.help or "")
    rows = [f"## `{line}`\n\n{help_text}\n\n| option | default | meaning |\n| --- | --- | --- |\n"]
    for each in command.params:
        if getattr(each, "hidden", False):
            continue
        names = ", ".join(f"`{opt}`" for opt in (*each.opts, *each.secondary_opts))
        default = each.to_info_dict().get("default")
        if isinstance(getattr(each, "show_default", None), str):
            default = each.show_default
        meaning = " ".join((each.help or "").split()).replace("|", "\\|")
        rows.append(f"| {names} | {'' if default is None else default} | {meaning} |\n")
    return "".join(rows) + "\n"


def main() -> int:
    """Write or check the pages. Returns the exit status."""
    importlib.import_module("deepseek_r1.core.i18n").use_language("en")  # before the commands
    check, stale = "--check" in sys.argv[1:], []
    written = {FOLDER / name: text for name, text in pages()}
    for path, text in written.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    stale += [path for path in FOLDER.glob("*.md") if path not in written] if check else []
    what = "stale; run installer/reference.py" if check else "written"
    for path in stale:
        print(f"{path.relative_to(ROOT)} is {what}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
