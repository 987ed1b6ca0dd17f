"""All errors of the library."""

from deepseek_r1.core.errors import *  # noqa: F403 - the same names
