"""The settings under which a model is loaded, and which of them wait for a reload."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from deepseek_r1.core.events import Bill, ModelFacts, ThreadsMeasured
from deepseek_r1.core.settings import CacheStrategy, KVType, LoadSettings, Takes
from deepseek_r1.core.words import tr
from deepseek_r1.hardware import (
    cpu,
    default_threads,
    default_threads_prefill,
    machine_memory_mib,
)
from r1desk.performance.bill_view import line_mib
from r1desk.performance.costs import budget_words, swap_words
from r1desk.performance.rows import ChoiceRow, NumberRow, Row, SwitchRow
from r1desk.performance.steps import budget_steps, even_steps, power_steps

PLAN_DELAY_MS = 150
CONTEXT_SHOWN = 32_768  # the slider's end while no model says more


class LoadSection(QObject):
    """Owns the rows of `LoadSettings` and tells edited from applied settings.

    Signals:
        edited_changed: the settings that wait for a reload are others now.
        plan_wanted: 150 ms after the last change, with the edited settings.
        threads_changed: for writing and for reading; in force at once.
        budget_changed: MiB, 150 ms after the last change; a model that runs from the disk takes
            it up at once, any other waits for a reload.
    """

    edited_changed = Signal()
    plan_wanted = Signal(object)
    threads_changed = Signal(int, int)
    budget_changed = Signal(int)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.applied = LoadSettings()
        self.edited = self.applied
        self.rows = _create_rows()
        for key, row in self.rows.items():
            row.changed.connect(_Route(self, key).on_changed)
        self._streams = False
        self._automatic = _defaults()
        self._budget_moved = False
        self._delay = QTimer(self, singleShot=True, interval=PLAN_DELAY_MS)
        self._delay.timeout.connect(self._on_settled)
        self.simple = _column(
            self.rows[key]
            for key in ("memory_budget", "context_length", "threads", "threads_prefill")
        )
        self.advanced = _column(
            self.rows[key]
            for key in (
                "kv_type",
                "micro_batch",
                "swap_enabled",
                "cache_strategy",
                "enable_chunk_loading",
                "chunk_size_kib",
            )
        )
        for key in ("kv_type", "swap_enabled"):  # what newcomers look for, in words at once
            self.rows[key].show_cost(tr(self.rows[key].words.help))
        self._show(self.applied)
        self._show_thread_costs()

    @property
    def pending(self) -> bool:
        """True when settings wait for a reload."""
        return self.edited != self.applied

    def set_settings(self, settings: LoadSettings) -> None:
        """Show `settings` as those in force."""
        self.applied = self.edited = settings
        self._delay.stop()
        self._budget_moved = False
        self._show(settings)
        self._show_thread_costs()
        self.edited_changed.emit()

    def apply(self) -> LoadSettings:
        """What is edited is in force from now on."""
        self.set_settings(self.edited)
        return self.applied

    def restore(self, settings: LoadSettings) -> None:
        """What was applied is not in force after all, but `settings`; the edits are kept."""
        self.applied = settings
        self.edited_changed.emit()
        self._delay.start()

    def edit(self, settings: LoadSettings) -> None:
        """Edit all rows at once, as if the user had set each of them."""
        self.edited = settings
        self._show(settings)
        self._show_thread_costs()
        self.edited_changed.emit()
        self._delay.start()

    def undo(self) -> None:
        """Back to what is in force."""
        self.set_settings(self.applied)

    def limit_context(self, facts: ModelFacts) -> None:
        """The context cannot be longer than the model was trained for."""
        least, _ = LoadSettings.bounds("context_length")
        most = max(int(least), facts.context_trained)
        row = self.rows["context_length"]
        row.set_steps(power_steps(int(least), most), (least, most))
        row.set_value(min(self.edited.context_length, most))

    def show_costs(self, bill: Bill) -> None:
        """What each setting costs, from the bill."""
        self.rows["memory_budget"].show_cost(budget_words(bill))
        swap = self.rows["swap_enabled"]
        swap.show_cost(swap_words(bill, self.edited) or tr(swap.words.help))
        self.rows["context_length"].show_cost(
            tr(
                "{n:,.0f} MiB of memory at {kind}",
                n=line_mib(bill, "kv_cache"),
                kind=self.edited.kv_type.value,
            )
        )
        self.rows["micro_batch"].show_cost(
            tr("{n:,.0f} MiB of memory for computing", n=line_mib(bill, "compute", "output"))
        )

    @Slot()
    def change(self, key: str, value: object) -> None:
        """The user set `key`."""
        changed = LoadSettings.model_validate(self.edited.model_dump() | {key: value})
        if changed == self.edited:
            return
        self.edited = changed
        if key == "memory_budget" and self._streams:
            self.applied = self.applied.model_copy(update={key: getattr(changed, key)})
            self._budget_moved = True
            self._delay.start()
            return
        if LoadSettings.words(key).takes is Takes.NOW:
            self.applied = self.applied.model_copy(update={key: getattr(changed, key)})
            self._show_thread_costs()
            self.threads_changed.emit(changed.threads, changed.threads_prefill)
            return
        self.edited_changed.emit()
        self._delay.start()

    def show_measured(self, measured: ThreadsMeasured | None) -> None:
        """What automatic threads mean for the loaded model."""
        self._automatic = measured.counts if measured else _defaults()
        self._show_thread_costs()

    def take_budget_at_once(self, streams: bool) -> None:
        """Whether the loaded model runs from the disk and can follow the budget."""
        self._streams = streams
        self.rows["memory_budget"].badge.setVisible(not streams)

    @Slot()
    def _on_settled(self) -> None:
        if self._budget_moved:
            self._budget_moved = False
            self.budget_changed.emit(self.applied.memory_budget)
        self.plan_wanted.emit(self.edited)

    def _show(self, settings: LoadSettings) -> None:
        for key, row in self.rows.items():
            row.set_value(getattr(settings, key))

    def _show_thread_costs(self) -> None:
        most = cpu().logical_cores
        for key, automatic in zip(("threads", "threads_prefill"), self._automatic, strict=True):
            if getattr(self.edited, key) == 0:
                text = tr("Automatic: {n} of {most} cores", n=automatic, most=most)
            else:
                text = tr("{n} of {most} cores", n=getattr(self.edited, key), most=most)
            self.rows[key].show_cost(text)


def _defaults() -> tuple[int, int]:
    return default_threads(), default_threads_prefill()


class _Route(QObject):
    """Carries one row's change to the section, with the row's key."""

    def __init__(self, section: LoadSection, key: str) -> None:
        super().__init__(section)
        self._section = section
        self._key = key

    @Slot(object)
    def on_changed(self, value: object) -> None:
        self._section.change(self._key, value)


def _create_rows() -> dict[str, Row]:
    words, bounds = LoadSettings.words, LoadSettings.bounds
    budgets = budget_steps(machine_memory_mib())
    contexts = power_steps(int(bounds("context_length")[0]), CONTEXT_SHOWN)
    batches = power_steps(*(int(bound) for bound in bounds("micro_batch")))
    cores = (0, cpu().logical_cores)
    rows: dict[str, Row] = {
        "memory_budget": NumberRow(words("memory_budget"), budgets, (budgets[0], budgets[-1])),
        "context_length": NumberRow(words("context_length"), contexts, bounds("context_length")),
    }
    for key in ("threads", "threads_prefill"):
        row = NumberRow(words(key), even_steps(*cores, 1), cores)
        row.spin.setSpecialValueText(tr("Automatic"))
        rows[key] = row
    rows["kv_type"] = ChoiceRow(words("kv_type"), [(kind, kind.value) for kind in KVType])
    rows["micro_batch"] = NumberRow(words("micro_batch"), batches, bounds("micro_batch"))
    rows["swap_enabled"] = SwitchRow(words("swap_enabled"))
    names = {
        CacheStrategy.AUTO: tr("Automatic"),
        CacheStrategy.PINNED: tr("Pinned"),
        CacheStrategy.LRU: "LRU",
        CacheStrategy.LFU: "LFU",
    }
    rows["cache_strategy"] = ChoiceRow(words("cache_strategy"), list(names.items()))
    chunks = power_steps(*(int(bound) for bound in bounds("chunk_size_kib")))
    rows["enable_chunk_loading"] = SwitchRow(words("enable_chunk_loading"))
    rows["chunk_size_kib"] = NumberRow(words("chunk_size_kib"), chunks, bounds("chunk_size_kib"))
    return rows


def _column(rows: Iterable[Row]) -> QWidget:
    result = QWidget()
    layout = QVBoxLayout(result)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(14)
    for row in rows:
        layout.addWidget(row)
    return result
