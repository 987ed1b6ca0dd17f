"""Whether the machine runs on a battery that is nearly empty."""

from __future__ import annotations

import psutil

LOW_PERCENT = 30


def battery_low() -> bool:
    """True on a battery below 30 percent that is not being charged."""
    sensors = getattr(psutil, "sensors_battery", None)  # not on every system
    battery = sensors() if sensors is not None else None
    return battery is not None and not battery.power_plugged and battery.percent < LOW_PERCENT
