"""Prompts read by a device: products through ggml's functions, failures, and what they change.

The device of most tests is ggml's CPU back end in a graphics processor's place, which every machine
has. Those with Vulkan's need `R1DESK_GRAPHICS_LIBRARY` (`installer/graphics_library.py`).
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import GraphicsUnavailable
from deepseek_r1.core.measured_file import measured_dir
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.llama.binding import graphics_device as graphics
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference.loading import process_share
from deepseek_r1.memory.graphics import allow_graphics, stopped_device, using
from deepseek_r1.memory.plan import least_budget_mib
from deepseek_r1.native.native_library import graphics_library
from deepseek_r1.weights.ggml.tensor_layout import address_of, typed

pytestmark = pytest.mark.integration

QUESTION = "Which of these words is the longest one? " + "sky cloud water mountain " * 30
NAME = "a device of the test"
Compute = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The CPU's back end in place of a graphics processor."""
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    functions = library().functions
    by_type = typed(functions.ggml_backend_dev_by_type, ctypes.c_size_t, ctypes.c_int)
    found = graphics._Device(by_type(0), NAME, integrated=True)
    monkeypatch.setattr(graphics, "_devices", lambda _ggml: [found])
    monkeypatch.setattr(graphics, "_drivers", dict[str, str])
    monkeypatch.setattr(graphics, "_open", [])
    return


def answer(model_path: Path, question: str = QUESTION, **settings: object) -> tuple[str, int]:
    """The answer at temperature 0, and how many products a device computed."""
    load = LoadSettings.model_validate({"context_length": 1024, "drafts": "off"} | settings)
    with CPUInference(model_path, settings=load) as model:
        return model.generate(question, max_tokens=4, temperature=0.0), counted.calls


class counted:  # noqa: N801 - used as a value
    """Counts the products that are computed by a wrapped function."""

    calls = 0


def computing(monkeypatch: pytest.MonkeyPatch, replaced: Callable[[int, int], int] | None) -> None:
    """Let `replaced` compute each product, or ggml where it is None; counts them."""
    counted.calls = 0
    original = typed(
        library().functions.ggml_backend_graph_compute, ctypes.c_int, *[ctypes.c_size_t] * 2
    )

    def compute(backend: int, graph: int) -> int:
        counted.calls += 1
        return int((replaced or original)(backend, graph))

    made = Compute(compute)
    opened = graphics.OpenDevice.__init__

    def open_counted(self: graphics.OpenDevice, *arguments: object) -> None:
        opened(self, *arguments)  # type: ignore[arg-type]
        self._native.backend_graph_compute = address_of(made)
        self.kept_alive = made  # type: ignore[attr-defined]

    monkeypatch.setattr(graphics.OpenDevice, "__init__", open_counted)


@pytest.mark.parametrize("streams", [False, True])
def test_a_device_reads_the_prompt_and_the_answer_is_the_same(
    device: None, monkeypatch: pytest.MonkeyPatch, shallow_starter: Path, *, streams: bool
) -> None:
    computing(monkeypatch, None)
    header, settings = (
        read_header(shallow_starter),
        LoadSettings(context_length=1024, swap_enabled=True),
    )
    share = replace(process_share(), driver_mib=96.0)
    least = least_budget_mib(header, settings, share)
    memory = {"memory_budget": least + 16, "swap_enabled": True} if streams else {}
    without, calls = answer(shallow_starter, graphics="off", **memory)
    assert calls == 0
    with_device, calls = answer(shallow_starter, graphics="any", **memory)
    assert calls > 0
    assert with_device == without
    assert not stopped_device()


@pytest.mark.parametrize("result", [0, 1], ids=["wrong results", "an error"])
def test_a_failed_device_costs_no_text_and_is_not_tried_again(
    device, monkeypatch, shallow_starter, result
):
    computing(monkeypatch, None)
    expected, _ = answer(shallow_starter, graphics="off")
    with CPUInference(
        shallow_starter, settings=LoadSettings(context_length=1024, graphics="any", drafts="off")
    ) as model:
        wrong = Compute(lambda _backend, _graph: result)
        open_device = graphics.opened_device()
        kernels = model._engine._context._graphics  # type: ignore[attr-defined]
        assert kernels is not None
        functions = graphics.GraphicsFunctions.from_buffer_copy(open_device._native)
        functions.backend_graph_compute = address_of(wrong)
        # The functions are the first member of the native object.
        ctypes.memmove(kernels.user_data, ctypes.byref(functions), ctypes.sizeof(functions))
        assert model.generate(QUESTION, max_tokens=4, temperature=0.0) == expected
    assert stopped_device() == NAME
    counted.calls = 0
    with CPUInference(
        shallow_starter, settings=LoadSettings(context_length=1024, graphics="any")
    ) as model:
        assert model.loaded.facts.graphics.stopped == NAME
        model.generate(QUESTION, max_tokens=2)
    assert counted.calls == 0


def leave_in_use(monkeypatch: pytest.MonkeyPatch, profile: Path) -> None:
    """Let a process end while it uses the device."""
    monkeypatch.setenv("R1DESK_PROFILE", str(profile))
    child = os.fork()
    if not child:
        held = using(NAME)
        held.__enter__()
        os._exit(0)
    os.waitpid(child, 0)


def test_a_process_that_ends_while_a_device_is_used_leaves_its_name(monkeypatch, tmp_path):
    with using(NAME):
        assert not stopped_device()
    leave_in_use(monkeypatch, tmp_path)
    assert stopped_device() == NAME
    with using(NAME):  # another engine goes on, whose passes end
        assert stopped_device() == NAME
    assert stopped_device() == NAME
    allow_graphics()
    assert not stopped_device()


def test_a_process_with_the_number_of_one_that_failed_is_another_one(monkeypatch, tmp_path):
    leave_in_use(monkeypatch, tmp_path)
    (file,) = measured_dir().iterdir()
    left, number = file.read_text().split(" "), str(os.getpid())
    file.write_text(" ".join([left[0], number, "1000000000.00", *left[3:]]))
    assert stopped_device() == NAME


def test_passes_write_no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    with using(NAME):
        pass
    monkeypatch.setattr(os, "open", None)  # nothing can be opened
    for _ in range(3):
        with using(NAME):
            pass


def test_a_name_that_no_device_has_is_refused_with_those_that_there_are(device, shallow_starter):
    with pytest.raises(GraphicsUnavailable, match=NAME):
        CPUInference(shallow_starter, settings=LoadSettings(graphics="Radeon"))


@pytest.mark.slow
@pytest.mark.skipif(graphics_library() is None, reason="ggml's back end for Vulkan is not built")
def test_vulkan_reads_the_prompt(shallow_starter, monkeypatch, tmp_path):
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    try:
        answer(shallow_starter, graphics="any")
    except GraphicsUnavailable as error:
        pytest.skip(str(error))
    assert not stopped_device()  # its results were compared with sums of ours
