"""Whether a graphics processor reads the prompts of a model: what was measured with it.

Results are kept in the profile, by processor and model; they hold for the device and the driver
that they name. Each process that uses a device names it in a file beside them. If the process ends
meanwhile, the file says so, and no device is used until one is measured again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path
from tempfile import mkstemp

import psutil
from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core import log
from deepseek_r1.core.events import GraphicsUse
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.measured_file import Measurements, measured_dir
from deepseek_r1.core.paths import make_private_dir
from deepseek_r1.core.settings import GRAPHICS_MEASURED, GRAPHICS_OFF, LoadSettings
from deepseek_r1.core.units import in_sentence
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import cpu

ANY_DEVICE = "any"  # a name for the first one, integrated ones before others
LEAST_RATIO = 1.1  # of the speed of reading, from which on a device is used
_LEAST_WRITING_RATIO = 0.95  # with it, weights keep the file's layout, which may cost speed
_STOPPED, _USE = "graphics_in_use", "graphics_use."
_NO, _YES = b"0", b"1"
_SAME_S = 2.0  # by which two readings of one process's start may differ
_DRIVER_MIB = 96.0  # of a driver until the engine opens it: more than Mesa's for AMD and Intel take
_uses: dict[tuple[Path, int, str], mmap | bytearray] = {}  # by profile, process and device
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
    folder = measured_dir()
    try:
        if (stopped := folder / _STOPPED).exists():
            return stopped.read_text("utf-8", "replace").partition(" ")[2] or "?"
        for file, in_use, device in _ended_uses(folder):
            if in_use:
                return device
            file.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        log.engine.warning("whether graphics failed cannot be read: %s", error)
        return "?"
    return ""


def _ended_uses(folder: Path) -> Iterator[tuple[Path, bool, str]]:
    """The files of processes that have ended, whether each was using its device, and that."""
    for file in folder.glob(f"{_USE}*"):
        try:
            in_use, process, started, device = file.read_text("utf-8", "replace").split(" ", 3)
        except (FileNotFoundError, ValueError):  # it is just being removed, or written
            continue
        try:
            runs = abs(psutil.Process(int(process)).create_time() - float(started)) < _SAME_S
        except psutil.Error:
            runs = False
        if not runs:
            yield file, in_use == _YES.decode(), device


@contextmanager
def using(device: str) -> Iterator[None]:
    """Say in this process's file in the profile that the device is being used, for the block.

    It is a byte of shared memory, which outlives the process: no pass writes to the disk.
    """
    use = _use_of(device)
    use[:1] = _YES
    try:
        yield
    finally:
        use[:1] = _NO


def _use_of(device: str) -> mmap | bytearray:
    key = (measured_dir(), os.getpid(), device)
    if key not in _uses:
        started = psutil.Process().create_time()
        text = f"{_NO.decode()} {os.getpid()} {started:.2f} {device}".encode()
        try:
            make_private_dir(measured_dir())
            number, _name = mkstemp(prefix=_USE, dir=measured_dir())
            with os.fdopen(number, "r+b") as file:
                file.write(text)
                file.flush()
                _uses[key] = mmap(file.fileno(), 0)
        except OSError as error:  # a full disk ends no answer
            log.engine.warning("a failure of %s would not be remembered: %s", device, error)
            _uses[key] = bytearray(1)
    return _uses[key]


def forget_use() -> None:
    """Take back what `using` says in this process, which ends."""
    for use in tuple(_uses.values()):
        use[:1] = _NO


def stop_graphics(device: str) -> None:
    """Let no load use a device until one is measured again."""
    try:
        make_private_dir(measured_dir())
        (measured_dir() / _STOPPED).write_text(f"0 {device}", "utf-8")
    except OSError as error:  # a full disk ends no answer
        log.engine.warning("a failure of %s would not be remembered: %s", device, error)


def allow_graphics() -> None:
    """Take back `stop_graphics`, and what ended processes have left."""
    try:
        for file in (measured_dir() / _STOPPED, *(f for f, *_ in _ended_uses(measured_dir()))):
            file.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
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
    parts += (
        [tr("{memory} of its own memory", memory=in_sentence(use.own_mib))] if use.own_mib else []
    )
    return ", ".join(parts)
