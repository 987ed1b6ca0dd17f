"""`python -m deepseek_r1.cli`: the command `deepseek-r1`; in a bundle also the engine's processes.

A frozen program is no interpreter: it starts itself with an argument in a module's place, or is
asked for one of our own modules as an interpreter would be.
"""

from __future__ import annotations

import runpy
import sys

from deepseek_r1.convert.quality_child import CHILD_ARGUMENT
from deepseek_r1.host.environment import ENGINE_ARGUMENT


def main() -> None:
    """Run what the arguments ask for and end the process."""
    if sys.argv[1:2] == [ENGINE_ARGUMENT]:
        from deepseek_r1.host import child  # noqa: PLC0415 - the engine stays without the commands

        child.main()
    if sys.argv[1:2] == [CHILD_ARGUMENT]:
        from deepseek_r1.convert import quality_worker  # noqa: PLC0415 - native libraries

        quality_worker.main()
        return
    if sys.argv[1:3] == ["-P", "-m"] and sys.argv[3:4] and sys.argv[3].startswith("deepseek_r1."):
        runpy.run_module(sys.argv[3], run_name="__main__", alter_sys=True)
        return
    from deepseek_r1 import cli  # noqa: PLC0415 - its import sets the language

    cli.main()


if __name__ == "__main__":
    main()
