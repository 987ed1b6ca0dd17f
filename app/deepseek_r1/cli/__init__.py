"""The command line `deepseek-r1`.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 the request
cannot be answered, 2 wrong usage, 3 the model is refused, 4 the engine died, 130 interrupted.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command in `sys.argv` and end the process with its exit code."""
    from deepseek_r1.core.words import use_language  # noqa: PLC0415

    use_language(None)
    from deepseek_r1.core.errors import ProcessorTooOld  # noqa: PLC0415 - speaks the language
    from deepseek_r1.hardware.baseline import require_usable_processor  # noqa: PLC0415

    try:
        require_usable_processor()
    except ProcessorTooOld as error:
        sys.exit(str(error))
    # The options' help is translated when their module is imported: not before the language is set.
    from deepseek_r1.cli.app import run  # noqa: PLC0415

    sys.exit(run())
