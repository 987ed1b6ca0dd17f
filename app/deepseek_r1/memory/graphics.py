"""Whether a graphics processor reads the prompts of a model: what was measured with it.

Results are kept in the profile, by processor and model; they hold for the device and the driver
that they name. A device that is being used is named in a file beside them. If the engine's process
ends meanwhile, the file remains, and no device is used until one is measured again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core import log
from deepseek_r1.core.events import GraphicsUse
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.measured_file import Measurements, make_private_dir, measured_dir
from deepseek_r1.core.settings import GRAPHICS_MEASURED, GRAPHICS_OFF, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import cpu

ANY_DEVICE = "any"  # a name for the first one, integrated ones before others
LEAST_RATIO = 1.1  # of the speed of reading, from which on a device is used
_LEAST_WRITING_RATIO = 0.95  # with it, weights keep the file's layout, which may cost speed
_IN_USE = "graphics_in_use"
_DRIVER_MIB = 96.0  # of a driver until the engine opens it: more than Mesa's for AMD and Intel take
_in_use_here: list[str] = []  # the device that this process is using
_Speed = Field(gt=0, allow_inf_nan=False)


class GraphicsMeasured(BaseModel):
    """Tokens a second, of reading and of writing, without a device and with it."""

    model_config = ConfigDict(frozen=True)

    device: str
    driver: str
    cpu_read: float = _Speed
    read: float = _Speed
    cpu_write: float = _Speed
    write: float = _Speed
    driver_mib: float = _Speed

    @property
    def ratio(self) -> float:
        """Its speed of reading over the one without it."""
        return self.read / self.cpu_read

    @property
    def kept(self) -> bool:
        """Whether it is used from now on."""
        return self.ratio >= LEAST_RATIO and self.write >= _LEAST_WRITING_RATIO * self.cpu_write


_MEASURED = Measurements("graphics", GraphicsMeasured)


def shape_key(header: ModelHeader) -> str:
    """Return the processor, its usable cores, and the model's widths and types, as one key."""
    machine, quantisation = cpu(), header.quantisation
    shape = f"{header.architecture} {header.embedding}x{header.blocks} {header.feed_forward}"
    return f"{machine.name} | {machine.usable_cores} | {shape} {quantisation}"


def save_graphics(header: ModelHeader, measured: GraphicsMeasured) -> None:
    """Keep what was measured. Raises OSError."""
    _MEASURED.save(shape_key(header), measured)


def planned_graphics(header: ModelHeader, settings: LoadSettings) -> GraphicsUse:
    """Return the device that a load would use, as far as it is known before; empty for none."""
    wanted = settings.graphics
    if header.legacy or wanted == GRAPHICS_OFF:
        return GraphicsUse()
    measured = _MEASURED.get(shape_key(header))
    if wanted == GRAPHICS_MEASURED and (measured is None or not measured.kept):
        return GraphicsUse()
    if stopped := stopped_device():
        return GraphicsUse(stopped=stopped)
    if measured is None or wanted not in (GRAPHICS_MEASURED, measured.device):
        return GraphicsUse(device=wanted, driver_mib=_DRIVER_MIB)
    known = measured.model_dump(include={"device", "driver", "driver_mib"})
    return GraphicsUse(**known, ratio=measured.ratio)


def stopped_device() -> str:
    """Return the device whose use did not end, or gave wrong results; empty for none."""
    try:
        text = (measured_dir() / _IN_USE).read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        log.engine.warning("whether graphics failed cannot be read: %s", error)
        return "?"
    process, _, device = text.partition(" ")
    uses_it_now = process.isdecimal() and process != "0" and psutil.pid_exists(int(process))
    return "" if uses_it_now else device or "?"


@contextmanager
def using(device: str) -> Iterator[None]:
    """Name the device in the profile during the block."""
    stop_graphics(device, os.getpid())
    _in_use_here[:] = [device]
    try:
        yield
    finally:
        forget_use()


def forget_use() -> None:
    """Take back what `using` of this process has written, also where the process ends in it."""
    if _in_use_here:
        _in_use_here.clear()
        allow_graphics()


def stop_graphics(device: str, process: int = 0) -> None:
    """Let no load use a device until one is measured again, or while the process lives."""
    try:
        make_private_dir(measured_dir())
        (measured_dir() / _IN_USE).write_text(f"{process} {device}", "utf-8")
    except OSError as error:  # a full disk ends no answer
        log.engine.warning("a failure of %s would not be remembered: %s", device, error)


def allow_graphics() -> None:
    """Take back `stop_graphics`."""
    try:
        (measured_dir() / _IN_USE).unlink(missing_ok=True)
    except OSError as error:
        log.engine.warning("graphics stay off: %s", error)


def graphics_text(use: GraphicsUse) -> str:
    """Return a sentence or two on the device, for people; empty where there is none."""
    if use.stopped:
        return tr(
            "{device} is not used: the last time, it stopped the engine or gave wrong results. "
            "“deepseek-r1 doctor --measure-graphics” tries it again.",
            device=use.stopped,
        )
    if not use.device:
        return ""
    parts = [tr("{device} reads long prompts", device=use.device)]
    parts += [tr("{n:.1f} times as fast as the processor", n=use.ratio)] if use.ratio else []
    parts += [tr("{n:,.0f} MiB of its own memory", n=use.own_mib)] if use.own_mib else []
    return ", ".join(parts)
