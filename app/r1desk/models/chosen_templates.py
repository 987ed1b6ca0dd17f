"""The chat templates that were chosen for models, each remembered once its model has loaded."""

from dataclasses import dataclass
from pathlib import Path

from r1desk.preferences import Preferences


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """A name from the list, or a template's source and its file's name; empty for automatic."""

    template: str = ""
    file_name: str = ""


class ChosenTemplates:
    """The remembered choices and the one that a load is trying."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences
        self._tried: tuple[Path, ChosenTemplate] | None = None

    def try_out(self, path: Path, chosen: ChosenTemplate) -> None:
        """Use another template for the next load of this model."""
        self._tried = (path, chosen)

    def of(self, path: Path) -> ChosenTemplate:
        """Return the choice that a load of this model uses."""
        if self._tried is not None and self._tried[0] == path:
            return self._tried[1]
        return ChosenTemplate(
            self._preferences.chat_templates.get(str(path), ""),
            self._preferences.chat_template_files.get(str(path), ""),
        )

    def accept(self, path: Path) -> None:
        """Remember the choice with which this model has loaded."""
        chosen = self.of(path)
        self._tried = None
        for known, value in (
            (self._preferences.chat_templates, chosen.template),
            (self._preferences.chat_template_files, chosen.file_name),
        ):
            known.pop(str(path), None)
            if value:
                known[str(path)] = value

    def discard(self) -> None:
        """Forget the choice with which a load has failed."""
        self._tried = None
