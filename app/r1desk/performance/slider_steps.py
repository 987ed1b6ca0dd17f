"""The steps of the sliders: round numbers, near each other where it matters."""

from __future__ import annotations

BUDGET_STEP_MIB = 256


def budget_steps(machine_mib: float) -> tuple[int, ...]:
    """Quarters of a gibibyte up to the machine's memory, wider apart above 8 GiB."""
    top = max(BUDGET_STEP_MIB, int(machine_mib) // BUDGET_STEP_MIB * BUDGET_STEP_MIB)
    steps = list(range(BUDGET_STEP_MIB, min(top, 8192) + 1, BUDGET_STEP_MIB))
    steps += range(9216, min(top, 65536) + 1, 1024)
    steps += range(73728, top + 1, 8192)
    return tuple(dict.fromkeys([*steps, top]))


def power_steps(least: int, most: int) -> tuple[int, ...]:
    """Powers of two and the halves between them, from `least` to `most`."""
    steps = [least]
    power = 1
    while power <= most:
        steps += [n for n in (power, power * 3 // 2) if least < n < most]
        power *= 2
    return tuple(dict.fromkeys([*steps, most]))


def even_steps(least: float, most: float, step: float) -> tuple[float, ...]:
    """Evenly spaced, both ends included."""
    count = round((most - least) / step)
    return tuple(round(least + at * step, 6) for at in range(count + 1))
