"""Entry point: the window, or the engine's child process when the frozen program is asked for it.

Nothing of Qt is imported here: the engine's child must stay slim, and a processor that cannot run
Qt must get a sentence first.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the application; return its exit status."""
    if "--engine-host" in sys.argv[1:2]:
        from deepseek_r1.host import child  # noqa: PLC0415 - the child alone needs it

        return child.main() or 0
    from deepseek_r1.core.errors import ProcessorTooOld  # noqa: PLC0415 - not for the child
    from deepseek_r1.core.words import use_language  # noqa: PLC0415
    from deepseek_r1.hardware.baseline import require_usable_processor  # noqa: PLC0415

    try:
        require_usable_processor()
    except ProcessorTooOld as error:
        use_language(None)
        _say_without_qt(str(error))
        return error.exit_code
    from r1desk.application import run  # noqa: PLC0415 - Qt, see above

    return run(sys.argv)


def _say_without_qt(text: str) -> None:
    """On Windows in a box of the system's own; elsewhere where a terminal or a log reads it."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - for this box alone

        ctypes.windll.user32.MessageBoxW(None, text, "R1 Desk", 0x10)
    elif sys.stderr is not None:
        print(text, file=sys.stderr)  # noqa: T201 - there is no window to say it in


if __name__ == "__main__":
    sys.exit(main())
