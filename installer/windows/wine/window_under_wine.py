"""Uses the Windows application under Wine as a person does: types a question, reads the answer."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_cache import ROOT
from wine_prefix import Wine, windows_path

sys.path.insert(0, str(ROOT / "installer" / "bundle"))
import smoke

ENGINE_END_S = 5
ENGINE = (b"--engine-host", b"deepseek_r1.host.child")


@dataclass(frozen=True)
class WinePlace(smoke.Place):
    """The place of a Windows application. Each of the two `programs` is a command line."""

    wine: Wine
    programs: Mapping[str, Sequence[str | Path]]
    variables: Mapping[str, str]
    own_profile: Path | None = None
    """The application's default profile; None: it is given one by R1DESK_PROFILE."""

    @property
    def profile(self) -> Path:
        """The folder of its conversations."""
        return self.own_profile or super().profile

    def command(self, program: str, *arguments: str) -> list[str]:
        """Returns the command line of one of the two programs, for this machine."""
        first, *rest = self.programs[program]
        return self.wine.command(first, *rest, *arguments)

    def inside(self, path: Path) -> str:
        """Returns `path` as Windows programs see it."""
        return windows_path(path)

    def environment(self, **more: str) -> dict[str, str]:
        """Returns the environment variables of a program."""
        given = {} if self.own_profile else {"R1DESK_PROFILE": self.inside(self.profile)}
        own = {**self.variables, **given, **more, "QT_QPA_PLATFORM": "windows"}
        return self.wine.environment(**own)

    def engine_of(self, process: subprocess.Popen[bytes]) -> int | None:  # noqa: ARG002 - see there
        """Returns the id of the engine's process."""
        return engine_in(self.wine)

    def has_ended(self, engine: int) -> bool:
        """Returns whether the engine ends in a moment: its process here outlives Windows' own."""
        end = time.monotonic() + ENGINE_END_S
        while time.monotonic() < end and not super().has_ended(engine):
            time.sleep(smoke.POLL_S)
        return super().has_ended(engine)


def engine_in(wine: Wine) -> int | None:
    """Returns the id of the only engine in a prefix. It is no child of the window's process."""
    prefix = f"WINEPREFIX={wine.prefix}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            variables = (folder / "environ").read_bytes()
        except OSError:  # it has ended
            continue
        if prefix in variables and any(word in command for word in ENGINE):
            return int(folder.name)
    return None


def use(
    wine: Wine,
    programs: Mapping[str, Sequence[str | Path]],
    picture: Path,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Ask the command line and the window, and save a screenshot of it. Returns what was seen.

    Raises SmokeFailed.
    """
    with _home() as home:
        place = WinePlace(home, home, None, wine, programs, variables or {})
        facts = {"command line": smoke.ask_command_line(place)}
        return facts | {"window": smoke.ask_window(place, picture)}


@contextmanager
def opened(place: WinePlace, picture: Path) -> Iterator[None]:
    """Keep the window open inside the block; then save a screenshot to `picture`, and close it.

    Raises SmokeFailed.
    """
    with (
        smoke.screen.x11() as desktop,
        smoke.running(place, "r1desk", **desktop.environment) as process,
    ):
        smoke.focus(desktop, process)
        engine = lambda: place.engine_of(process)  # noqa: E731
        smoke.until(engine, process, smoke.START_WAIT_S, "no engine was started")
        yield
        desktop.photograph(picture)
        smoke.leave(place, desktop, process)


@contextmanager
def _home() -> Iterator[Path]:
    """Yields a temporary folder with a Chinese name and a space, as users have them."""
    folder = Path(tempfile.mkdtemp(prefix="r1desk-"))
    try:
        home = folder / "李 明"
        home.mkdir()
        yield home
    finally:
        shutil.rmtree(folder)
