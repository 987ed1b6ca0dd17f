"""Entry point: the window, or the engine's child process when the frozen program is asked for it.

Nothing of Qt is imported here: the engine's child must stay slim.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the application; return its exit status."""
    if "--engine-host" in sys.argv[1:2]:
        from deepseek_r1.host import child  # noqa: PLC0415 - the child alone needs it

        return child.main() or 0
    from r1desk.application import run  # noqa: PLC0415 - Qt, see above

    return run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
