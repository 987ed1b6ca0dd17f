"""`python -m deepseek_r1.cli`: the same as the command `deepseek-r1`."""

from __future__ import annotations

from deepseek_r1.cli import main

if __name__ == "__main__":
    main()
