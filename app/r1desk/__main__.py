"""Entry point: the window, or one of its child processes when the frozen program is asked for it.

Nothing of Qt is imported here: the engine's child must stay slim, and a processor that cannot run
Qt must get a sentence first.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the application; return its exit status."""
    if (status := _run_child(sys.argv[1:2])) is not None:
        return status
    if "--serve-shared-engine" in sys.argv[1:2]:
        import runpy  # noqa: PLC0415 - the window has no other use for the server

        runpy.run_module("deepseek_r1.server.shared_server", run_name="__main__")
        return 0
    from r1desk.platform import interpreter_setup  # noqa: F401, PLC0415 - first

    # isort: split
    from deepseek_r1.core.errors import R1Error  # noqa: PLC0415 - not for the child
    from deepseek_r1.core.i18n import use_language  # noqa: PLC0415
    from deepseek_r1.hardware.baseline import require_usable_processor  # noqa: PLC0415
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


def _run_child(argument: list[str]) -> int | None:
    """Run the child process that the argument selects; None where it selects none."""
    match argument:
        case ["--engine-host"]:
            from deepseek_r1.host import child  # noqa: PLC0415 - the child alone needs it

            child.main()
        case ["--template-renderer"]:
            from deepseek_r1.host import renderer_start  # noqa: PLC0415 - likewise

            renderer_start.main()
        case ["--read-headers"]:
            from deepseek_r1.catalogue import header_worker  # noqa: PLC0415 - likewise

            header_worker.main()
        case ["--network"]:
            from deepseek_r1.catalogue import network_worker  # noqa: PLC0415 - likewise

            network_worker.main()
        case ["--typeset-formulas"]:
            from r1desk.chat.formulas import formula_worker  # noqa: PLC0415 - likewise

            return formula_worker.main()
        case _:
            return None
    return 0


def _report_without_qt(text: str) -> None:
    """Show `text` in a message box on Windows, and on stderr elsewhere."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - for this box alone

        ctypes.windll.user32.MessageBoxW(None, text, "R1 Desk", 0x10)
    elif sys.stderr is not None:
        print(text, file=sys.stderr)  # noqa: T201 - there is no window to show it in


if __name__ == "__main__":
    sys.exit(main())
