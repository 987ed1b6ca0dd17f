"""Entry point `python -m deepseek_r1.cli`: the command line, and in a bundle the child processes.

A frozen program is no interpreter. It starts itself with an argument in place of a module's name,
or with `-m` and one of our modules.
"""

import runpy
import sys

from deepseek_r1.core.processes import run_child


def main() -> None:
    """Run the process that the arguments select, then exit."""
    if run_child(sys.argv[1:]):
        return
    if sys.argv[1:3] == ["-P", "-m"] and sys.argv[3:4] and sys.argv[3].startswith("deepseek_r1."):
        runpy.run_module(sys.argv[3], run_name="__main__", alter_sys=True)
        return
    from deepseek_r1 import cli  # noqa: PLC0415 - imported after the other processes

    cli.main()


if __name__ == "__main__":
    main()
