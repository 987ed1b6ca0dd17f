"""Takes all files but the model's away from the engine's process, before native code opens them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deepseek_r1.core.measured_file import measured_dir
from deepseek_r1.core.paths import make_private_dir
from deepseek_r1.core.process_lock import lock_files
from deepseek_r1.engine.prompt.template_process import end_renderer, renderer_pid, start_renderer
from deepseek_r1.host.protocol import PromptCacheFolder
from deepseek_r1.native.native_library import graphics_library, native

_DRIVER_FILES = ("/usr/share/vulkan", "/usr/local/share/vulkan", "/etc/vulkan", "/usr/share/glvnd",
                 "/usr/share/drirc.d", "/etc/drirc", "/usr/share/libdrm")  # fmt: skip


def lock_to_model(
    files: Sequence[Path], prompts: PromptCacheFolder | None, *, graphics: bool = False
) -> None:
    """Allow this process the model's files, and its folders of prompts and measured values.

    With `graphics`, also graphics processors, and the files by which their drivers are found.

    Raises EngineStartFailed where the system has the means and refuses them.
    """
    with suppress(OSError):  # a profile that cannot be written holds no measured values either
        make_private_dir(measured_dir())
    folders = [measured_dir(), *([Path(prompts.path)] if prompts is not None else [])]
    reads, devices = [*files], list[Path]()
    if graphics and (library := graphics_library()) is not None:
        reads += [library, *map(Path, _DRIVER_FILES)]
        devices += [Path("/dev/dri"), *Path("/dev").glob("nvidia*")]
    locked = lock_files(reads, folders, native().restrict_threads, devices)
    if locked and renderer_pid() is not None:
        end_renderer()  # the next one is started under the same rules
        start_renderer()
