"""Accepts switches with a value: `--swap_enabled true`, `--swap_enabled=off`, `--swap_enabled`.

click has two names for a switch, one for on and one for off. A value is replaced by the matching
name before click parses the line. A word after a switch is its value only if it is one of the
known values; any other word stays an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr

_VALUES = {
    "true": True, "on": True, "yes": True, "1": True,
    "false": False, "off": False, "no": False, "0": False,
}  # fmt: skip


def with_values_named(
    parameters: Sequence[Any], args: Sequence[str], normalised: Callable[[str], str]
) -> list[str]:
    """Returns `args` with each switch's value replaced by a name.

    `parameters` are the command's. Values of other options and everything after `--` stay
    unchanged. Raises WrongUsage for `--switch=word` with an unknown word.
    """
    options = [each for each in parameters if each.param_type_name == "option"]
    switches = {name: each for each in options if each.secondary_opts for name in each.opts}
    taking = {name for each in options if not each.is_flag for name in each.opts}
    return list(_named(iter(args), switches, taking, normalised))


def _named(
    args: Iterator[str],
    switches: dict[str, Any],
    taking: set[str],
    normalised: Callable[[str], str],
) -> Iterator[str]:
    switch: Any = None  # the preceding argument, which may have a value
    for arg in args:
        if switch is not None:
            value = _VALUES.get(arg.lower())
            yield _name(switch, on=value is not False)
            switch = None
            if value is not None:
                continue
        before, equals, word = arg.partition("=")
        name = normalised(before)
        if name in switches and equals:
            yield _name(switches[name], on=_value_of(name, word))
        elif name in switches:
            switch = switches[name]
        else:
            yield arg
            if arg == "--":
                yield from args
            elif name in taking and not equals:
                yield from (value for value in (next(args, None),) if value is not None)
    if switch is not None:
        yield _name(switch, on=True)


def _name(switch: Any, *, on: bool) -> str:
    return str((switch.opts if on else switch.secondary_opts)[0])


def _value_of(name: str, word: str) -> bool:
    try:
        return _VALUES[word.lower()]
    except KeyError:
        known = ", ".join(_VALUES)
        problem = tr("“{value}” is not one of {known}.", value=word, known=known)
        raise WrongUsage(detail=f"{name}: {problem}") from None
