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
    # The options' help is translated when their module is imported: not before the language is set.
    from deepseek_r1.cli.app import run  # noqa: PLC0415

    sys.exit(run())
