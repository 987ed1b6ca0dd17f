"""Takes all files but the model's away from the engine's process, before native code opens them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deepseek_r1.core.measured_file import make_private_dir, measured_dir
from deepseek_r1.core.process_lock import lock_files
from deepseek_r1.engine.prompt.template_process import end_renderer, renderer_pid, start_renderer
from deepseek_r1.host.protocol import PromptCacheFolder
from deepseek_r1.native.native_library import native


def lock_to_model(files: Sequence[Path], prompts: PromptCacheFolder | None) -> None:
    """Allow this process the model's files, and its folders of prompts and measured values.

    Raises EngineStartFailed where the system has the means and refuses them.
    """
    with suppress(OSError):  # a profile that cannot be written holds no measured values either
        make_private_dir(measured_dir())
    folders = [measured_dir(), *([Path(prompts.path)] if prompts is not None else [])]
    if lock_files(files, folders, native().restrict_threads) and renderer_pid() is not None:
        end_renderer()  # the next one is started under the same rules
        start_renderer()
