"""The reader of the Dockerfile, which builds its image without a container engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "installer" / "container"))
import build_image


def test_every_instruction_of_the_dockerfile_is_known() -> None:
    text = (ROOT / "installer" / "container" / "Dockerfile").read_text(encoding="utf-8")
    names = [each.name for each in build_image.instructions(text)]
    assert names[0] == "FROM"
    assert set(names) <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "VOLUME", "EXPOSE",
                          "HEALTHCHECK", "ENTRYPOINT", "CMD"}  # fmt: skip


def test_a_command_goes_on_over_lines_and_comments() -> None:
    (run,) = build_image.instructions("RUN a \\\n# why\n    && b\n")
    assert (run.name, run.rest.split(), run.line) == ("RUN", ["a", "&&", "b"], 1)
    with pytest.raises(build_image.BuildFailed):
        list(build_image.instructions("RUN a \\\n"))


@pytest.mark.parametrize(
    ("path", "left_out"), [("build/x", True), ("app/a.pyc", True), ("app/a.py", False)]
)
def test_what_is_ignored_is_left_out(path: str, left_out: bool) -> None:
    assert build_image.ignored(["build", "**/*.pyc"], path) is left_out
