"""Entry point: the window, or one of its child processes when the frozen program is asked for it.

Nothing of Qt is imported here: the engine's child must stay slim, and a processor that cannot run
Qt must get a sentence first.
"""

import sys

from deepseek_r1.core.processes import run_child


def main() -> int:
    """Run the application; return its exit status."""
    if run_child(sys.argv[1:]):
        return 0
    from r1desk.platform import interpreter_setup  # noqa: F401, PLC0415 - first

    # isort: split
    from deepseek_r1.core.errors import R1Error  # noqa: PLC0415 - not for the child
    from deepseek_r1.core.i18n import use_language  # noqa: PLC0415
    from deepseek_r1.hardware.processor import require_usable_processor  # noqa: PLC0415
    from r1desk.platform.no_display import require_window  # noqa: PLC0415

    use_language(None)  # until the preferences are read
    try:
        require_usable_processor()
        require_window(sys.argv[1:])
    except R1Error as error:
        _report_without_qt(str(error))
        return error.exit_code
    from r1desk.shell.startup import run  # noqa: PLC0415 - Qt, see above

    return run(sys.argv)


def _report_without_qt(text: str) -> None:
    """Show `text` in a message box on Windows, and on stderr elsewhere."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - for this box alone

        ctypes.windll.user32.MessageBoxW(None, text, "R1 Desk", 0x10)
    elif sys.stderr is not None:
        print(text, file=sys.stderr)  # noqa: T201 - there is no window to show it in


if __name__ == "__main__":
    sys.exit(main())
