"""Entry point `python -m deepseek_r1.cli`: the command line, and in a bundle the child processes.

A frozen program is no interpreter. It starts itself with an argument in place of a module's name,
or with `-m` and one of our modules.
"""

from __future__ import annotations

import runpy
import sys


def main() -> None:
    """Run the process that the arguments select, then exit."""
    if sys.argv[1:2] == ["--template-renderer"]:  # before other imports: it is a small process
        from deepseek_r1.engine import template_renderer  # noqa: PLC0415

        template_renderer.main()
    from deepseek_r1.catalogue.header_process import HEADER_ARGUMENT  # noqa: PLC0415
    from deepseek_r1.catalogue.network_process import NETWORK_ARGUMENT  # noqa: PLC0415
    from deepseek_r1.host.environment import ENGINE_ARGUMENT  # noqa: PLC0415
    from deepseek_r1.host.sharing_protocol import SHARED_SERVER_ARGUMENT  # noqa: PLC0415
    from deepseek_r1.lab.quality.quality_child import CHILD_ARGUMENT  # noqa: PLC0415
    from deepseek_r1.legacy.legacy_process import LEGACY_ARGUMENT  # noqa: PLC0415

    if sys.argv[1:2] == [ENGINE_ARGUMENT]:
        from deepseek_r1.host import child  # noqa: PLC0415 - the engine does not import the commands

        child.main()
    if sys.argv[1:2] == [LEGACY_ARGUMENT]:
        from deepseek_r1.legacy import legacy_worker  # noqa: PLC0415 - native libraries

        legacy_worker.main()
    if sys.argv[1:2] == [HEADER_ARGUMENT]:
        from deepseek_r1.catalogue import header_worker  # noqa: PLC0415

        header_worker.main()
    if sys.argv[1:2] == [NETWORK_ARGUMENT]:
        from deepseek_r1.catalogue import network_worker  # noqa: PLC0415 - the network's libraries

        network_worker.main()
    if sys.argv[1:2] == ["--serve-instance"]:
        from deepseek_r1.server import instance  # noqa: PLC0415 - an extra

        instance.main()
        return
    if sys.argv[1:2] == [SHARED_SERVER_ARGUMENT]:
        from deepseek_r1.server import shared_server  # noqa: PLC0415 - an extra

        shared_server.main()
        return
    if sys.argv[1:2] == [CHILD_ARGUMENT]:
        from deepseek_r1.lab.quality import quality_worker  # noqa: PLC0415 - native libraries

        quality_worker.main()
        return
    if sys.argv[1:3] == ["-P", "-m"] and sys.argv[3:4] and sys.argv[3].startswith("deepseek_r1."):
        runpy.run_module(sys.argv[3], run_name="__main__", alter_sys=True)
        return
    from deepseek_r1 import cli  # noqa: PLC0415 - imported after the other processes

    cli.main()


if __name__ == "__main__":
    main()
