"""Runs the command line: `python -m deepseek_r1` is `deepseek-r1`."""

from deepseek_r1.cli.__main__ import main

if __name__ == "__main__":
    main()
