"""A graphics processor, through ggml's back end for Vulkan: loaded, opened, and given products.

The back end is a library of its own (`installer/graphics_library.py`). It is not registered, so
that llama.cpp, its scheduler and its buffers stay as they are without it: the eval callback alone
gives nodes to a device (`native/graphics.hpp`). A device is opened once a process, behind its lock,
which the driver's threads inherit; Mesa's drivers keep their compiled programs beside our results.
"""

import ctypes
import os
import sys
from itertools import product
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from deepseek_r1.core import log
from deepseek_r1.core.errors import GraphicsUnavailable, LoadStopped
from deepseek_r1.core.events import GraphicsUse
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.measured_file import measured_dir
from deepseek_r1.core.settings import GRAPHICS_MEASURED, LoadSettings
from deepseek_r1.engine.interface import Progress
from deepseek_r1.engine.llama.binding.kernels import Kernels
from deepseek_r1.engine.llama.binding.library import Library, library
from deepseek_r1.formats.ggml_types import TENSOR_TYPES
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.cost_model import GRAPHICS_ALIGNMENT, graphics_bytes, graphics_weights
from deepseek_r1.memory.graphics import ANY_DEVICE, using
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.native.native_library import GraphicsFunctions, graphics_library, native
from deepseek_r1.weights.ggml.tensor_layout import Ggml, InitParams, address_of, typed, word_at

LEAST_ROWS: Final = 32
_VERSION: Final = 1
_WARM_UP_ROWS: Final = (LEAST_ROWS, 64, 128)  # the back end has programs for up to 32, 64 and more
_INTEGRATED: Final = 2  # of ggml_backend_dev_type
_CONTEXT_BYTES: Final = 1 << 16  # for the tensors and the graph of one product
_MIB = 1 << 20
_NUMBERS: Final = {each.name: number for number, each in TENSOR_TYPES.items()}
_WORD = ctypes.c_size_t
_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {  # result, arguments
    "init": (_WORD, InitParams),
    "backend_reg_by_name": (_WORD, ctypes.c_char_p),
    "backend_reg_dev_count": (_WORD, _WORD),
    "backend_reg_dev_get": (_WORD, _WORD, _WORD),
    "backend_dev_description": (ctypes.c_char_p, _WORD),
    "backend_dev_type": (ctypes.c_int, _WORD),
    "backend_dev_init": (_WORD, _WORD, ctypes.c_char_p),
    "backend_dev_buffer_type": (_WORD, _WORD),
    "backend_buft_alloc_buffer": (_WORD, _WORD, _WORD),
    "backend_buft_get_alignment": (_WORD, _WORD),
    "backend_buffer_get_base": (_WORD, _WORD),
    "backend_buffer_clear": (None, _WORD, ctypes.c_uint8),
    "backend_buffer_free": (None, _WORD),
}


class _Device(NamedTuple):
    address: int
    name: str
    integrated: bool


class OpenDevice:
    """The device of this process, with a buffer for the products of one model at a time."""

    def __init__(self, opened: Library, wanted: str) -> None:
        """Load the back end and open a device. Raises GraphicsUnavailable, OSError."""
        self._ggml = SimpleNamespace()
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(opened.functions, f"ggml_{name}")
            setattr(self._ggml, name, typed(function, result, *arguments))
        before_mib = process_mib(os.getpid())
        found = _devices(self._ggml)
        self._device = device = _chosen(found, wanted)
        self._native = GraphicsFunctions(
            **{
                name: address_of(getattr(opened.functions, f"ggml_{name}"))
                for name in GraphicsFunctions.FUNCTIONS
            },
            context=self._ggml.init(InitParams(_CONTEXT_BYTES, None, True)),
            device=device.address,
            backend=self._ggml.backend_dev_init(device.address, None),
            alignment=GRAPHICS_ALIGNMENT,
        )
        if not self._native.backend:
            raise GraphicsUnavailable(name=device.name, detail=tr("Its driver does not open it."))
        self.name, self.driver = device.name, _drivers().get(device.name, "")
        self._others = tuple(each.name for each in found if each is not device)
        self._driver_mib = process_mib(os.getpid()) - before_mib
        self.in_use = False  # by a context

    def prepare(
        self, header: ModelHeader, settings: LoadSettings, on_progress: Progress
    ) -> GraphicsUse:
        """Make a buffer for a model's products, and the programs. Raises as `open_graphics`."""
        ggml, memory = self._ggml, self._native
        if self.in_use:
            raise GraphicsUnavailable(name=self.name, detail=tr("Another model uses it."))
        if memory.buffer:
            ggml.backend_buffer_free(memory.buffer)
        kind = ggml.backend_dev_buffer_type(self._device.address)
        memory.buffer_bytes = graphics_bytes(header, settings)
        memory.buffer = ggml.backend_buft_alloc_buffer(kind, memory.buffer_bytes)
        if not memory.buffer or ggml.backend_buft_get_alignment(kind) > GRAPHICS_ALIGNMENT:
            raise GraphicsUnavailable(name=self.name, detail=tr("It has too little memory."))
        ggml.backend_buffer_clear(memory.buffer, 0)
        memory.base = ggml.backend_buffer_get_base(memory.buffer)
        before_mib = process_mib(os.getpid())
        products = native().graphics_new(ctypes.byref(memory), LEAST_ROWS)
        shapes = {(_NUMBERS[each.type_name], *each.shape) for each in graphics_weights(header)}
        for shape, rows in product(sorted(shapes), _WARM_UP_ROWS):
            if not on_progress(0.0):
                raise LoadStopped
            if not native().graphics_warm_up(products, *shape, min(rows, settings.micro_batch)):
                raise GraphicsUnavailable(name=self.name, detail=tr("It does not compute."))
        native().graphics_free(products)
        self._driver_mib += max(0.0, process_mib(os.getpid()) - before_mib)
        return GraphicsUse(
            device=self.name,
            driver=self.driver,
            driver_mib=max(1.0, self._driver_mib),
            own_mib=0.0 if self._device.integrated else memory.buffer_bytes / _MIB,
            others=self._others,
        )

    @property
    def memory_mib(self) -> float:
        return self._driver_mib + float(self._native.buffer_bytes) / _MIB

    def kernels(self, opened: Library, ggml: Ggml | None, abort: int) -> Kernels:
        """Return the products of a new context. `abort` is the address of its flag.

        Raises StreamingUnavailable.
        """
        self._native.abort = abort
        user_data = native().graphics_new(ctypes.byref(self._native), LEAST_ROWS)
        name = f"graphics {_VERSION}, {self.name}, {self.driver}"
        return Kernels(ggml or Ggml(opened.functions), "graphics", user_data, name)


_open: list[OpenDevice] = []  # a library is loaded, and a driver started, once a process


def opened_device() -> OpenDevice:
    """Return the device that `open_graphics` has opened."""
    return _open[0]


def open_graphics(
    header: ModelHeader, settings: LoadSettings, planned: GraphicsUse, on_progress: Progress
) -> GraphicsUse:
    """Open the planned device; the use is empty where it is not what was measured.

    `on_progress` is called for each program of the driver. Raises LoadStopped, and where a device
    was named and cannot be used GraphicsUnavailable.
    """
    measured = settings.graphics == GRAPHICS_MEASURED
    try:
        with using(planned.device):
            if not _open:
                os.environ["MESA_SHADER_CACHE_DIR"] = str(measured_dir() / "shaders")
                _open.append(OpenDevice(library(), planned.device))
            found = opened_device().prepare(header, settings, on_progress)
    except (GraphicsUnavailable, OSError, AttributeError) as error:
        if not measured:
            detail = (
                error.facts["detail"] if isinstance(error, GraphicsUnavailable) else f"{error}."
            )
            raise GraphicsUnavailable(name=planned.device, detail=detail) from error
        log.engine.warning("%s is not used: %s", planned.device, error)
        return GraphicsUse()
    same = (found.device, found.driver) == (planned.device, planned.driver)
    if measured and not same:
        log.engine.warning("%s is not used: its driver is another one now", planned.device)
        return GraphicsUse()
    return found.model_copy(update={"ratio": planned.ratio}) if same else found


def _devices(ggml: SimpleNamespace) -> list[_Device]:
    """Load the back end; returns its devices, integrated ones first. Raises as `OpenDevice`."""
    path = graphics_library()
    if path is None:
        raise GraphicsUnavailable(name="Vulkan", detail=tr("Its library is not installed."))
    found = typed(ctypes.CDLL(str(path)).ggml_backend_init, _WORD)()
    cpu = ggml.backend_reg_by_name(b"CPU")
    # Both begin with the version of ggml's structures.
    if not found or word_at(found) & 0xFFFFFFFF != word_at(cpu) & 0xFFFFFFFF:
        detail = tr("Its library is of another version of llama.cpp.")
        raise GraphicsUnavailable(name=path.name, detail=detail)
    devices = []
    for number in range(ggml.backend_reg_dev_count(found)):
        each = ggml.backend_reg_dev_get(found, number)
        name = (ggml.backend_dev_description(each) or b"").decode("utf-8", "replace")
        devices.append(_Device(each, name, ggml.backend_dev_type(each) == _INTEGRATED))
    return sorted(devices, key=lambda each: not each.integrated)


def _chosen(found: list[_Device], wanted: str) -> _Device:
    for each in found:
        if wanted == ANY_DEVICE or wanted.lower() in each.name.lower():
            return each
    names = ", ".join(each.name for each in found) or "–"
    raise GraphicsUnavailable(name=wanted, detail=tr("There are: {names}.", names=names))


_MOST_DEVICES = 16
_INSTANCE, _PROPERTIES, _DRIVER, _API_1_2 = 1, 1_000_059_001, 1_000_196_000, 0x402000


def _drivers() -> dict[str, str]:
    """The drivers with their versions, by the names of their devices. Raises OSError.

    ggml tells no drivers, so Vulkan is asked: `vulkan_core.h`, structures as 64-bit words.
    """
    vulkan: Any = ctypes.CDLL("vulkan-1.dll" if sys.platform == "win32" else "libvulkan.so.1")
    application = (ctypes.c_uint64 * 6)(0, 0, 0, 0, 0, _API_1_2 << 32)
    info = (ctypes.c_uint64 * 8)(_INSTANCE, 0, 0, ctypes.addressof(application))
    instance, count = ctypes.c_void_p(), ctypes.c_uint32(_MOST_DEVICES)
    if vulkan.vkCreateInstance(info, None, ctypes.byref(instance)):
        return {}
    devices, drivers = (ctypes.c_void_p * _MOST_DEVICES)(), dict[str, str]()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), devices)
    for device in devices[: count.value]:
        driver = (ctypes.c_uint64 * 128)(_DRIVER)
        found = (ctypes.c_uint64 * 128)(_PROPERTIES, ctypes.addressof(driver))
        vulkan.vkGetPhysicalDeviceProperties2(ctypes.c_void_p(device), found)
        texts = (bytes(found)[36:], bytes(driver)[20:], bytes(driver)[276:])
        name, *described = (each.split(b"\0")[0].decode("utf-8", "replace") for each in texts)
        drivers.setdefault(name, " ".join(described))
    vulkan.vkDestroyInstance(instance, None)
    return drivers
