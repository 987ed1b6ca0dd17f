"""Finds any GGUF model by its repository's name or an address, with size, fit and speed.

Nothing is sent before "List files" is pressed, and nothing downloaded before "Download now" is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec, RetryPolicy, spec_for_url
from deepseek_r1.catalogue.errors import FileNameUnusable, ReferenceUnusable
from deepseek_r1.catalogue.hub_reference import (
    HUB_HOSTS,
    HubHost,
    HubReference,
    hosts_in_order,
    parse_reference,
)
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.core.settings import LoadSettings
from r1desk.models.catalogue_picks import Offer, OfferedModel, find_offers
from r1desk.models.formatting import format_bill_summary, format_download
from r1desk.models.widgets.page_parts import AddressLine, GiveButton, ModelTree
from r1desk.platform.background_thread import stream_in_background
from r1desk.platform.tasks import Tasks, report_of, task
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import ask
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.text_label import NamedBox, push_button, text_label


class HubPage(QWidget):
    """A field for the name, the files of the repository, and the downloads below."""

    download_requested = Signal(object)  # a DownloadSpec

    def __init__(self, settings: LoadSettings, give: Callable[[int], object]) -> None:
        super().__init__()
        self.policy = RetryPolicy()
        self._settings = settings
        self.tasks = Tasks(self, self._refuse)
        self._free_bytes: int | None = None
        self.name = QLineEdit(clearButtonEnabled=True, maxLength=500)
        self.name.setPlaceholderText(tr("owner/name, or an address"))
        self.name.setAccessibleName(tr("Repository or address"))
        self.name.returnPressed.connect(self._on_list)
        self.host = NamedBox(tr("Download from"), self)
        for host in HUB_HOSTS:
            self.host.addItem(host.name, host)
        self.host.setCurrentText(hosts_in_order()[0].name)
        self.list_button = push_button(tr("List files"), self._on_list)
        set_role(self.list_button, "primary")
        self.note = text_label(
            tr("Nothing is sent before “List files” is pressed. Example: unsloth/Qwen3-4B-GGUF"),
            "dim",
        )
        headings = [tr("File"), tr("Download"), tr("Memory"), tr("Fit and speed")]
        self.tree = ModelTree(tr("Files of the repository"), headings, number_columns=(1, 2))
        self.tree.itemSelectionChanged.connect(self._on_selection)
        self.detail, self.address = text_label("", "dim"), AddressLine()
        self.download_button = push_button(tr("Download now"), self._on_download)
        self.give = GiveButton(give, self._on_download)
        self._arriving: Collection[str] = ()
        self._arrange()
        self._on_selection()

    def _arrange(self) -> None:
        layout = QVBoxLayout(self)
        first = (self.name, self.host, self.list_button)
        filled(put_inside(layout, QHBoxLayout()), *first).setStretch(0, 1)
        layout.addWidget(self.note)
        layout.addWidget(self.tree, stretch=1)
        layout.addWidget(self.detail)
        last = (self.address, self.give, self.download_button)
        filled(put_inside(layout, QHBoxLayout()), *last).setStretch(0, 1)

    def hideEvent(self, event: QHideEvent) -> None:
        """End a query that nobody waits for any more."""
        if not self.window().isVisible():
            self.tasks.cancel_all()
        super().hideEvent(event)

    # ---- the query --------------------------------------------------------------------------

    @Slot()
    def _on_list(self) -> None:
        self.tasks.cancel_all()
        self.tree.clear()
        try:
            host: HubHost = self.host.currentData()
            found = parse_reference(self.name.text(), host, loopback=self.policy.loopback_http)
            if isinstance(found, str):
                self._show_offer(_offer_of_address(found))
                return
        except (ReferenceUnusable, FileNameUnusable) as error:
            self._show_note(str(error), "danger")
            return
        self._list(found)

    @task
    async def _list(self, reference: HubReference) -> None:
        self.host.setCurrentText(reference.host.name)
        self._show_note(tr("Connecting to {host}…", host=reference.host.origin.partition("//")[2]))
        stop = Stop()
        find = partial(find_offers, reference, self._settings, self.policy, stop)
        try:
            async for offer in stream_in_background(find):
                self._show_offer(offer)
        finally:
            stop.request()

    def _refuse(self, error: Exception) -> None:
        self._show_note(report_of(error).text(), "danger")

    @Slot(object)
    def show_free_space(self, free_bytes: int | None) -> None:
        """Show how much is free on the drive of the models."""
        self._free_bytes = free_bytes
        self._on_selection()

    def show_arriving(self, files: Collection[str]) -> None:
        """These files are being downloaded."""
        self._arriving = files
        self._on_selection()

    def _show_note(self, text: str, role: str = "dim") -> None:
        self.note.setText(text)
        self.note.setAccessibleName(text)
        set_role(self.note, role)

    # ---- the files --------------------------------------------------------------------------

    def _show_offer(self, offer: Offer) -> None:
        before = self.tree.selected
        selected = before.name if before is not None else offer.wanted
        self.tree.clear()
        for model in offer.models:
            item = QTreeWidgetItem(self.tree)
            self.tree.fill_offer(item, model, model.name, model.size_bytes, model.forecast)
            item.setToolTip(0, model.name)
            if model.name == selected:
                self.tree.setCurrentItem(item)
        self.tree.select_first()
        known = all(model.forecast is not None for model in offer.models)
        text = trn(
            "{n} model in {repository}",
            "{n} models in {repository}",
            len(offer.models),
            repository=offer.repository,
        )
        if not known:
            text = f"{text} · {tr('The fit is known after the download.')}"
        self._show_note("\n".join(line for line in (text, offer.ladder) if line))
        if self.name.hasFocus() or self.list_button.hasFocus():
            self.tree.setFocus()

    @Slot()
    def _on_selection(self) -> None:
        model = self.tree.selected
        arriving = model is not None and any(each.file in self._arriving for each in model.specs)
        self.download_button.setText(tr("Downloading…") if arriving else tr("Download now"))
        for button in (self.download_button, self.give):
            button.setEnabled(model is not None and not arriving)
        self.give.offer(model.forecast if model is not None else None)
        self.address.show_address(model.specs[0].url if model is not None else "")
        self.detail.setText(self._describe(model) if model is not None else "")
        self.detail.setVisible(model is not None)

    def _describe(self, model: OfferedModel) -> str:
        size = model.size_bytes
        lines = [
            format_download(size, self._free_bytes) if size is not None else "",
            format_bill_summary(model.forecast.bill) if model.forecast is not None else "",
        ]
        if len(model.specs) > 1:
            lines.append(tr("It comes in {n} parts.", n=len(model.specs)))
        if not model.verifiable:
            lines.append(tr("No checksum is known for {file}.", file=model.name))
        return "\n".join(line for line in lines if line)

    @Slot()
    def _on_download(self) -> None:
        model = self.tree.selected
        if model is None:
            return
        if model.verifiable:
            self._request(model.specs)
            return
        accepted = [replace(spec, accept_unverified=True) for spec in model.specs]
        download = partial(self._request, accepted)
        text = tr("No checksum is known for {file}.", file=model.name)
        details = tr("Without one the downloaded file cannot be verified.")
        role = QMessageBox.ButtonRole.DestructiveRole
        ask(self, text, details, (tr("Download all the same"), role, download))

    def _request(self, specs: Sequence[DownloadSpec]) -> None:
        for spec in specs:
            self.download_requested.emit(spec)


def _offer_of_address(url: str) -> Offer:
    """Raises FileNameUnusable."""
    spec = spec_for_url(url, None)
    model = OfferedModel(spec.file, "", None, (spec,), None)
    return Offer(url.split("/")[2], (model,), spec.file)
