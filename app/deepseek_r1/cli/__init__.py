"""The command line `deepseek-r1`.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 the request
cannot be answered, 2 wrong usage, 3 the model is refused, 4 the engine died, 130 interrupted.
"""

import sys


def main() -> None:
    """Run the command in `sys.argv` and end the process with its exit code."""
    from deepseek_r1.core.i18n import use_language  # noqa: PLC0415

    use_language(None)
    from deepseek_r1.core.errors import ProcessorTooOld  # noqa: PLC0415 - translated
    from deepseek_r1.hardware.processor import require_usable_processor  # noqa: PLC0415

    try:
        require_usable_processor()
    except ProcessorTooOld as error:
        sys.exit(str(error))
    from deepseek_r1.cli import console  # noqa: PLC0415 - like all else here

    console.prepare_streams()
    # The options' help is translated on import, so the language must be set before it.
    from deepseek_r1.cli.app import run  # noqa: PLC0415

    sys.exit(run())
