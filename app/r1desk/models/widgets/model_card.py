"""A card for one model of the catalogue: purpose, size, fit and speed, and one button."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout

from deepseek_r1.catalogue.download_spec import spec_for_draft
from deepseek_r1.catalogue.known_models import KnownDraft, KnownModel, draft_of
from deepseek_r1.core.i18n import tr
from deepseek_r1.memory.forecast import fit_facts
from r1desk.models.catalogue_picks import CatalogueFile, Pick, Standing
from r1desk.models.formatting import format_mib, format_size
from r1desk.models.widgets.page_parts import GiveButton
from r1desk.theme import explain, set_role
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedLabel, push_button, text_label


@dataclass(frozen=True, slots=True)
class FilesHere:
    """Files of the catalogue that are on this computer, or on their way, by their names."""

    places: Mapping[str, Path] = field(default_factory=dict)
    drafts: Collection[str] = ()  # the ids of draft models
    loaded: Path | None = None
    arriving: Collection[str] = ()


class DraftCheckBox(QCheckBox):
    """Hidden unless the model has a draft model; checked where the model runs from the disk.

    There drafts can make answers faster. What the user chose stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self._draft: KnownDraft | None = None
        self._chosen: bool | None = None  # by the user
        self.clicked.connect(self._on_clicked)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)  # as wide as clicks
        self.hide()

    @property
    def wanted(self) -> KnownDraft | None:
        """The draft model to download along with the model."""
        return self._draft if self.isChecked() else None

    def offer(self, file: CatalogueFile | None, *, here: bool) -> None:
        """Offer the draft model of `file`, which is not offered where it is `here` already."""
        draft = draft_of(file.model) if file is not None and not here else None
        self._draft = draft
        self.setVisible(draft is not None)
        if file is None or draft is None:
            return
        size = format_size(draft.about_bytes)
        self.setText(tr("With its draft model, about {size} more", size=size))
        lines = (
            tr("A small model that can make answers faster where the model runs from the disk."),
            tr("Its licence is stated on {page}", page=str(draft.origin)),
            spec_for_draft(draft).url,
        )
        explain(self, "\n".join(lines))
        streams = file.forecast.bill.streams
        self.setChecked(streams if self._chosen is None else self._chosen)

    @Slot(bool)
    def _on_clicked(self, checked: bool) -> None:
        self._chosen = checked


class ModelCard(QFrame):
    """Shows a pick of the catalogue: its name, its purpose, and its facts as chips."""

    download_requested = Signal(object, str, object)  # CatalogueFile, the host, KnownDraft or None
    use_requested = Signal(object)  # the Path of the file, where it is on this computer

    def __init__(self, pick: Pick, give: Callable[[int], object]) -> None:
        super().__init__()
        set_role(self, "card")
        file = pick.file
        self.key = pick.key
        self.file = file
        self._place: Path | None = None
        self.setAccessibleName(file.name)
        self.name = ElidedLabel(file.name)
        set_role(self.name, "heading")
        explain(self.name, file.name)
        self.purpose = text_label(file.model.purpose_text)
        self.purpose.setWordWrap(True)
        self.scores = text_label(facts_of(file.model), "dim")
        self.ladder = text_label("", "dim")
        self.place = text_label("", "dim")
        self.draft = DraftCheckBox()
        self.button = push_button("", self._on_button)
        self.give = GiveButton(give, self._on_button)
        if pick.standing is Standing.FIRST:
            set_role(self.button, "primary")
        row = filled(QHBoxLayout(self), margins=(14, 12, 14, 12))
        texts = put_inside(row, with_properties(QVBoxLayout(), spacing=5))
        row.setStretch(0, 1)
        line = with_properties(QHBoxLayout(), spacing=6)
        if pick.standing is Standing.FIRST:
            texts.addWidget(self.name)
            texts.addWidget(self.purpose)
            texts.addLayout(line)
        else:
            line.addWidget(self.name)
            texts.addLayout(line)
            texts.addWidget(self.purpose)
        self.chips = [text_label("", "badge") for _ in range(3)]
        for chip in self.chips:
            line.addWidget(chip)
        line.addStretch()
        for part in (self.scores, self.ladder, self.place, self.draft):
            texts.addWidget(part)
        filled(put_inside(row, QVBoxLayout()), self.button, self.give, spacing=6)
        self.show_pick(pick)
        self.show_here(FilesHere())

    def show_here(self, here: FilesHere) -> None:
        """Offer the file where it is on this computer, unless it is in use; else its download."""
        name, model = self.file.file.file, self.file.model
        self._place = place = here.places.get(name)
        arriving = name in here.arriving
        self.draft.offer(self.file if place is None else None, here=model.draft in here.drafts)
        self.place.setVisible(place is not None)
        tip = str(place)
        if place is None:
            size = format_size(self.file.file.size_bytes)
            self.button.setText(tr("Download {size}", size=size))
            tip = self.file.spec.url
        else:
            self.place.setText(on_this_computer(place))
            self.button.setText(tr("Use this model"))
        if arriving:
            self.button.setText(tr("Downloading…"))
        for button in (self.button, self.give):
            button.setEnabled(not arriving and (place is None or place != here.loaded))
            explain(button, tip)
        self.give.offer(self.file.forecast, here=place is not None)

    @Slot()
    def _on_button(self) -> None:
        if self._place is None:
            self.download_requested.emit(self.file, self.file.host, self.draft.wanted)
        else:
            self.use_requested.emit(self._place)

    def show_pick(self, pick: Pick) -> None:
        """Show another estimate of the same file."""
        self.file = file = pick.file
        self.ladder.setText(pick.ladder)
        self.ladder.setVisible(bool(pick.ladder))
        memory = tr("{n} of memory", n=format_mib(file.forecast.bill.total_mib))
        facts = [*fit_facts(file.forecast), memory, ""]
        for chip, fact in zip(self.chips, facts, strict=False):
            chip.setText(fact)
            chip.setVisible(bool(fact))
        self.give.offer(file.forecast, here=self._place is not None)


def facts_of(model: KnownModel) -> str:
    """Licence and published scores; the makers' own are called so."""
    by: dict[str, list[str]] = {}
    for each in model.scores:
        by.setdefault(each.by or tr("self-reported"), []).append(f"{each.test} {each.result}")
    scores = (f"{', '.join(results)} ({who})" for who, results in by.items())
    return " · ".join((model.licence.name, *scores))


def on_this_computer(place: Path) -> str:
    """Says in which folder a file of the catalogue is."""
    return tr("On this computer, in {folder}", folder=place.parent.name)
