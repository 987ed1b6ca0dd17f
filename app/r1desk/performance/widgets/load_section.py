"""Rows of the settings under which a model is loaded."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy

from deepseek_r1.core.events import Bill, BillItem, ModelFacts
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import (
    GRAPHICS_MEASURED,
    GRAPHICS_OFF,
    LEAST_CONTEXT_LENGTH,
    AppliesWhen,
    CacheStrategy,
    DraftMode,
    KVType,
    LoadSettings,
    SettingInfo,
)
from deepseek_r1.core.units import format_mib
from deepseek_r1.hardware import cpu, machine_memory_mib
from deepseek_r1.memory.graphics import graphics_text
from deepseek_r1.native.native_library import graphics_library
from r1desk.performance.hints import (
    format_budget_hint,
    format_context_hint,
    format_disk_hint,
    format_draft_hint,
)
from r1desk.performance.widgets.setting_rows import (
    ChoiceRow,
    NumberRow,
    SettingRow,
    SwitchRow,
    budget_steps,
    even_steps,
    number_row,
    power_steps,
)
from r1desk.theme import explain
from r1desk.widgets.file_dialog import model_dialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.text_label import ElidedButton, call_with

PLAN_DELAY_MS = 150
# Lines kept below a control, so that nothing moves when its sentence gets longer.
_RESERVED_LINES = {"memory_budget": 1, "swap_enabled": 3, "drafts": 2, "context_length": 2}
AUTOMATIC_AT_0 = ("context_length", "threads", "threads_prefill")
CONTEXT_SHOWN = 32_768  # the slider's end while no model says more


class LoadSection(QObject):
    """Owns the rows of `LoadSettings` and keeps edited apart from applied settings."""

    edited_changed = Signal()  # the settings that wait for a reload are others now
    plan_wanted = Signal(object)  # 150 ms after the last change, with the edited settings
    threads_changed = Signal(int, int)  # for writing and for reading; in force at once
    # MiB, 150 ms after the last change, where the loaded model can follow
    budget_changed = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.applied = LoadSettings()
        self.edited = self.applied
        self.draft_model = FileRow(LoadSettings.info("draft_model"))
        self.rows = _create_rows() | {
            "draft_model": self.draft_model,
            "embedding_model": FileRow(LoadSettings.info("embedding_model")),
        }
        for key, row in self.rows.items():
            row.changed.connect(partial(self.change, key))
        self._trained = 0  # tokens: the longest context of the model
        self._followed_from_mib = float("inf")  # no model is loaded
        self._budget_moved = False
        self._delay = QTimer(self, singleShot=True, interval=PLAN_DELAY_MS)
        self._delay.timeout.connect(self._on_settled)
        self.rows["graphics"].setVisible(graphics_library() is not None)
        for key, lines in _RESERVED_LINES.items():
            self.rows[key].reserve_cost_lines(lines)
        for key in ("kv_type", "swap_enabled"):  # their help is of use at once
            self.rows[key].show_cost(tr(self.rows[key].info.help))
        self._show(self.applied)

    @property
    def pending(self) -> bool:
        """True when settings wait for a reload."""
        return self.edited != self.applied

    def set_settings(self, settings: LoadSettings) -> None:
        """Show `settings` as those in force; edits that were not applied are dropped."""
        self.applied = self.edited = settings
        self._delay.stop()
        self._budget_moved = False
        self._show(settings)
        self.edited_changed.emit()

    def apply(self) -> LoadSettings:
        """Put the edited settings in force."""
        self.set_settings(self.edited)
        return self.applied

    @Slot(object)
    def restore(self, settings: LoadSettings) -> None:
        """Return to `settings`: the applied ones were refused. The edits are kept."""
        self.applied = settings
        self.edited_changed.emit()
        self._delay.start()

    def edit(self, settings: LoadSettings) -> None:
        """Edit all rows at once, as if the user had set each of them."""
        self.edited = settings
        self._show(settings)
        self.edited_changed.emit()
        self._delay.start()

    def limit_context(self, facts: ModelFacts) -> None:
        """The context cannot be longer than the model was trained for."""
        self._trained = facts.context_trained
        most = max(LEAST_CONTEXT_LENGTH, facts.context_trained)
        row = number_row(self.rows, "context_length")
        row.set_steps(_context_steps(most), (0, most))
        row.set_value(min(self.edited.context_length, most))
        self.rows["graphics"].show_cost(graphics_text(facts.graphics))

    def show_costs(self, bill: Bill) -> None:
        """Show the cost of each setting, from the bill."""
        trained = 0 if self.edited.context_length else self._trained
        self.rows["memory_budget"].show_cost(format_budget_hint(bill, trained))
        disk = self.rows["swap_enabled"]
        disk.show_cost(format_disk_hint(bill, self.edited) or tr(disk.info.help))
        self.rows["context_length"].show_cost(format_context_hint(bill, self.edited))
        self.rows["drafts"].show_cost(format_draft_hint(bill))
        computing = bill.mib_of(BillItem.COMPUTE, BillItem.OUTPUT)
        self.rows["micro_batch"].show_cost(
            tr("{memory} for computing", memory=format_mib(computing))
        )

    @Slot()
    def change(self, key: str, value: object) -> None:
        """The user set `key`."""
        if key == "context_length" and 0 < int(str(value)) < LEAST_CONTEXT_LENGTH:
            value = LEAST_CONTEXT_LENGTH
            self.rows[key].set_value(value)
        changed = LoadSettings.model_validate(self.edited.model_dump() | {key: value})
        if changed == self.edited:
            return
        self.edited = changed
        if key == "drafts":
            self._show(changed)
        if key == "memory_budget" and self._can_follow(changed.memory_budget):
            self.applied = self.applied.model_copy(update={key: getattr(changed, key)})
            self._budget_moved = True
            self._delay.start()
            return
        if LoadSettings.info(key).applies is AppliesWhen.NOW:
            self.applied = self.applied.model_copy(update={key: getattr(changed, key)})
            self._show_thread_costs()
            self.threads_changed.emit(changed.threads, changed.threads_prefill)
            if self.pending:
                self.edited_changed.emit()
            return
        self.edited_changed.emit()
        self._delay.start()

    def follow_budget_of(self, bill: Bill | None) -> None:
        """Remember which budgets the model can follow without a reload; None: none is loaded.

        A model that runs from the disk follows any. One that is in memory whole takes the same
        memory under any budget, and follows every one that holds it.
        """
        least_mib = float("inf") if bill is None else bill.total_mib
        self._followed_from_mib = 0.0 if bill is not None and bill.streams else least_mib
        self.rows["memory_budget"].badge.setVisible(bill is None)

    def _can_follow(self, budget_mib: int) -> bool:
        others = self.edited.model_copy(update={"memory_budget": self.applied.memory_budget})
        return budget_mib >= self._followed_from_mib and others == self.applied

    @Slot()
    def _on_settled(self) -> None:
        if self._budget_moved:
            self._budget_moved = False
            self.budget_changed.emit(self.applied.memory_budget)
            if not self.pending:
                return  # the reply is the bill under the new budget
        self.plan_wanted.emit(self.edited)

    def _show(self, settings: LoadSettings) -> None:
        for key, row in self.rows.items():
            row.set_value(getattr(settings, key))
        self._show_thread_costs()
        if settings.drafts in (DraftMode.AUTO, DraftMode.MODEL):
            self.rows["draft_model"].enable()
        else:
            self.rows["draft_model"].disable(tr("Not used with these drafts."))

    def _show_thread_costs(self) -> None:
        most = cpu().logical_cores
        counts = {"threads": cpu().threads, "threads_prefill": cpu().threads_prefill}
        for key, automatic in counts.items():
            if getattr(self.edited, key) == 0:
                text = tr("Automatic: {n} of {most} cores", n=automatic, most=most)
            else:
                text = tr("{n} of {most} cores", n=getattr(self.edited, key), most=most)
            self.rows[key].show_cost(text)


def _context_steps(most: int) -> tuple[float, ...]:
    """Automatic, and then lengths up to `most`."""
    return (0, *power_steps(LEAST_CONTEXT_LENGTH, most))


def _create_rows() -> dict[str, SettingRow]:
    info, bounds = LoadSettings.info, LoadSettings.bounds
    budgets = budget_steps(machine_memory_mib())
    cores = (0, cpu().logical_cores)
    numbers = {
        "memory_budget": (budgets, (budgets[0], budgets[-1])),
        "context_length": (_context_steps(CONTEXT_SHOWN), bounds("context_length")),
        "threads": (even_steps(*cores, 1), cores),
        "threads_prefill": (even_steps(*cores, 1), cores),
        "micro_batch": (power_steps(*map(int, bounds("micro_batch"))), bounds("micro_batch")),
        "chunk_size_kib": (
            power_steps(*map(int, bounds("chunk_size_kib"))),
            bounds("chunk_size_kib"),
        ),
    }
    choices: dict[str, Mapping[str, str]] = {
        "kv_type": {
            KVType.AUTO: tr("Automatic"),
            KVType.F16: tr("Full (f16)"),
            KVType.Q8_0: tr("Half (q8_0)"),
            KVType.Q4_0: tr("Quarter (q4_0)"),
        },
        "drafts": {
            DraftMode.AUTO: tr("Automatic"),
            DraftMode.OFF: tr("Off"),
            DraftMode.LOOKUP: tr("From the text"),
            DraftMode.MODEL: tr("Draft model"),
        },
        "graphics": {GRAPHICS_MEASURED: tr("Where measured faster"), GRAPHICS_OFF: tr("Off")},
        "cache_strategy": {
            CacheStrategy.AUTO: tr("Automatic"),
            CacheStrategy.PINNED: tr("Pinned weights"),
            CacheStrategy.LRU: "LRU",
            CacheStrategy.LFU: "LFU",
        },
    }
    rows: dict[str, SettingRow] = {
        **{key: NumberRow(info(key), *limits) for key, limits in numbers.items()},
        **{key: ChoiceRow(info(key), names) for key, names in choices.items()},
        **{key: SwitchRow(info(key)) for key in ("swap_enabled", "enable_chunk_loading")},
    }
    for key in AUTOMATIC_AT_0:
        number_row(rows, key).spin.setSpecialValueText(tr("Automatic"))
    return rows


class FileRow(SettingRow):
    """The name of a file on a button that opens a dialog for another one, and a way to none.

    Where no file is chosen, one can be offered, on the button `offered`.
    """

    def __init__(self, info: SettingInfo) -> None:
        super().__init__(info)
        self._path = ""
        self._offer_tip = ""
        self.button = ElidedButton()
        self.none = QPushButton(tr("Remove"))
        self.offered = QPushButton()
        self._set_up(self.button, self.none, self.offered)
        self.none.setAccessibleName(f"{tr(info.title)}: {self.none.text()}")
        line = put_inside(self._box, with_properties(QHBoxLayout(), spacing=6))
        for control in self.controls:
            control.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            line.addWidget(control)
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line.setStretch(0, 1)
        self._box.addWidget(self.cost)
        self.button.clicked.connect(self._on_choose)
        call_with(self.none.clicked, self._choose, "")
        self.set_value("")

    @property
    def value(self) -> str:
        """The chosen file; empty for none."""
        return self._path

    def set_value(self, value: str) -> None:
        self._path = value
        name = Path(value).name if value else tr("Choose…")
        self.button.setText(name.replace("&", "&&"))
        explain(self.button, value or tr(self.info.help))
        self._show(self.none, visible=bool(value))
        self._show(self.offered, visible=bool(self.offered.text()) and not value)
        explain(self.offered, self._offer_tip or tr(self.info.help))

    def _show(self, control: QPushButton, *, visible: bool) -> None:
        """Show or hide a button. One that had the keyboard leaves it in this row.

        Otherwise the next row would get it, and what is typed would change that row's setting.
        """
        if not visible and control.hasFocus():
            self.button.setFocus()
        control.setVisible(visible)

    def offer(self, text: str, tip: str = "") -> None:
        """Offer another file on a button with this text; an empty one takes the offer back."""
        if (text, tip) == (self.offered.text(), self._offer_tip):
            return  # asked for with each progress report of a download
        self._offer_tip = tip
        self.offered.setText(text)
        self.offered.setAccessibleName(f"{tr(self.info.title)}: {text}")
        self.set_value(self._path)

    def enable(self) -> None:
        super().enable()
        self.set_value(self._path)  # its tooltips were those of a disabled row

    @Slot()
    def _on_choose(self) -> None:
        dialog = model_dialog(self.window())
        if self._path:
            dialog.selectFile(self._path)
        dialog.fileSelected.connect(self._choose)
        dialog.open()

    @Slot(str)
    def _choose(self, path: str) -> None:
        self.set_value(path)
        self.changed.emit(path)
