"""Connects the strip with what is measured, and the presets with menu, panel and chat."""

import time
from pathlib import Path

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QCheckBox,
    QDialogButtonBox,
    QLineEdit,
    QMainWindow,
    QMenu,
    QWidget,
)

from deepseek_r1.core import events
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import short_name
from deepseek_r1.host.protocol import EngineState, Heartbeat
from deepseek_r1.memory.governor import shortage_text
from r1desk.chat.answers.chat_settings import (
    NAME_CHARACTERS,
    ChatSettingsController,
    Preset,
    PresetController,
)
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.view import ChatView
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.models.controller import ModelController
from r1desk.performance.readings import (
    EngineActivity,
    GaugeValues,
    StreamingRateMeter,
    StreamingRates,
    format_engine_state,
)
from r1desk.performance.resource_sampler import BudgetGuard
from r1desk.performance.widgets.gauge import Gauge
from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.platform.tasks import Tasks, task
from r1desk.theme import icon
from r1desk.widgets.bounded_dialog import BoundedDialog, accepted
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar
from r1desk.widgets.text_label import call_with, open_menu_by, text_label


class PerformanceWindow(QMainWindow):
    """The main window, as the measurements use it."""

    chat: ChatView
    composer: Composer
    gauge: Gauge
    made_panel: PerformancePanel | None  # which is made when it is first wanted
    panel_made = Signal(object)
    presets_menu: QMenu
    notices: NoticeBar


class PerformancePresenter(Presenter):
    """Joins the sampler's measurements, the engine's heartbeats and its events in one strip."""

    def __init__(
        self,
        window: PerformanceWindow,
        engine: EngineBridge,
        models: ModelController,
        chat: ChatController,
        guard: BudgetGuard,
    ) -> None:
        super().__init__(window.gauge)
        self._gauge, self._notices = window.gauge, window.notices
        self._engine, self._models, self._chat, self._guard = engine, models, chat, guard
        self._beat: Heartbeat | None = None
        self._activity = EngineActivity()
        self._rate_meter = StreamingRateMeter()
        self._streaming: StreamingRates | None = None
        self._shortage_text = ""  # while the machine is short of memory
        guard.sampler.sampled.connect(self._show)
        engine.heartbeat.connect(self._on_beat)
        engine.event_received.connect(self._on_event)
        engine.state_changed.connect(self._on_state)
        models.load_started.connect(self._show)
        window.gauge.state.clicked.connect(self._on_state_clicked)
        window.gauge.stop.clicked.connect(chat.stop)
        chat.preparing_changed.connect(self._show)
        if guard.beat is not None:  # in a window that is new: not empty until the next
            self._on_beat(guard.beat)
        self._show()

    @Slot(object)
    def _on_beat(self, beat: Heartbeat) -> None:
        before, self._beat = (self._beat, self._streaming), beat
        self._streaming = self._rate_meter.update(beat.weights, time.monotonic())
        self._notify_shortage(beat.memory)
        if _shown_part(*before) != _shown_part(beat, self._streaming):
            self._show()

    @Slot(object)
    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.PrefillProgress) and not self._chat.busy:
            return  # of the next turn, which is no answer
        before = self._activity.activity
        self._activity.on_event(event)
        if self._activity.activity is not before:
            self._show()

    @Slot(object, str)
    def _on_state(self, state: EngineState, _detail: str) -> None:
        if state is not EngineState.IDLE:  # then the last answer's speed is of interest
            self._activity.start()
        self._show()

    @Slot()
    def _on_state_clicked(self) -> None:
        """Show the conversation that is being answered."""
        answer = self._chat.answer
        if answer is not None and not self._chat.busy_here:
            self._chat.open(answer.conversation_id)

    def _notify_shortage(self, memory: events.MemoryState | None) -> None:
        """Show one notice when the machine runs short of memory and one when that is over."""
        short = memory is not None and memory.short
        if short == bool(self._shortage_text):
            return
        if memory is not None and short:
            self._shortage_text = shortage_text(memory)
            self._notices.show_notice(Notice(self._shortage_text, Level.WARNING))
        else:
            self._notices.withdraw(self._shortage_text)
            self._shortage_text = ""
            if memory is not None:  # else the model is gone, and with it the shortage's effect
                self._notices.show_notice(Notice(shortage_text(memory), Level.INFO))

    @Slot()
    def _show(self) -> None:
        sample = self._guard.sampler.last
        if sample is None:
            return
        state = format_engine_state(self._engine.state, self._activity.activity)
        if self._models.resting and self._engine.state is EngineState.READY:
            state = tr("Unloaded")
        if self._engine.comparison is not None:
            state = tr("Comparing")
        elif note := self._models.waiting_note:
            state = note
        elif self._chat.preparing and self._engine.state is EngineState.IDLE:
            reads = self._chat.reads_documents
            state = tr("Reading documents") if reads else tr("Preparing your next message")
        self._gauge.show_values(
            GaugeValues(
                sample=sample,
                budget_mib=self._guard.budget_mib,
                state=state,
                tok_s=self._activity.tok_s,
                streaming=self._streaming if self._models.current else None,
                preparing=self._chat.preparing,
            )
        )


def _shown_part(beat: Heartbeat | None, streaming: object) -> tuple[object, ...]:
    """What the window shows of a beat: at rest they come each second, and change nothing."""
    if beat is None:
        return ()
    return beat.memory, beat.phase, streaming


class PresetPresenter(Presenter):
    """Applies, saves, renames and deletes presets for one window."""

    def __init__(
        self,
        window: PerformanceWindow,
        presets: PresetController,
        settings: ChatSettingsController,
        models: ModelController,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._panel: PerformancePanel | None = None
        self._last: Preset | None = None  # the preset applied last, perhaps changed since
        self._presets, self._settings, self._models = presets, settings, models
        self.tasks = Tasks(self)
        window.presets_menu.aboutToShow.connect(self._fill_menu)
        open_menu_by(window.chat.welcome.preset_button, window.presets_menu)
        window.chat.welcome.preset_cards.chosen.connect(self._on_card)
        presets.changed.connect(self._show)
        settings.changed.connect(self._show)
        settings.defaults_changed.connect(self._show)
        self._show()

    def attach_row(self, panel: PerformancePanel) -> None:
        """Connect the row of the panel, as soon as there is one."""
        self._panel, row = panel, panel.preset_row
        open_menu_by(row.button, self._window.presets_menu)
        row.default_button.clicked.connect(self._on_default)
        self._show()

    def _flush(self) -> None:
        """Take what is being typed into the panel."""
        if self._panel is not None:
            self._panel.answers.flush()

    @Slot(object)
    def apply(self, preset: Preset) -> None:
        """Put a preset in force for the conversation shown; its model is loaded."""
        self._flush()
        self._last = preset
        sampling = preset.sampling
        if sampling.thinking_budget is None:  # then the conversation's own stays
            budget = self._settings.present[0].thinking_budget
            sampling = sampling.model_copy(update={"thinking_budget": budget})
        self._settings.apply(sampling, preset.system_prompt)
        path = Path(preset.model_path) if preset.model_path else None
        if path is None or path == self._models.path:
            return
        if path.exists():
            self._models.choose(path)
        else:
            missing = tr("The model of this preset no longer exists: {file}", file=path.name)
            self._window.notices.show_notice(Notice(missing, Level.WARNING))

    @Slot(int)
    def _on_card(self, at: int) -> None:
        self.apply(self._presets.presets[at])
        self._show()  # the card of the preset in force stays marked
        self._window.composer.setFocus()

    def _current(self) -> Preset | None:
        sampling, system_prompt = self._settings.present
        fitting = (p for p in self._presets.presets if p.matches(sampling, system_prompt))
        return next(fitting, None)

    @Slot()
    def _show(self) -> None:
        current = self._current()
        presets = self._presets.presets
        shown = [(each.name, each.icon) for each in presets]
        at = presets.index(current) if current is not None else None
        self._window.chat.welcome.show_presets(shown, at)
        if current is not None:
            self._last = current
        elif self._last is not None:  # it may have been deleted or renamed
            key = self._last.key
            self._last = next((each for each in presets if each.key == key and key), None)
        if self._panel is not None:
            row = self._panel.preset_row
            row.show_preset(current.name if current is not None else "")
            row.default_button.setVisible(not self._settings.are_defaults)

    @Slot()
    def _on_default(self) -> None:
        self._flush()
        self._settings.make_defaults()

    @Slot()
    def _fill_menu(self) -> None:
        """All presets, a way to save one, and what can be done with the user's own in force."""
        menu, current, own = self._window.presets_menu, self._current(), self._last
        menu.clear()
        for preset in self._presets.presets:
            action = QAction(preset.name, menu, checkable=True, checked=preset == current)
            menu.addAction(action)
            call_with(action.triggered, self.apply, preset)
        menu.addSeparator()
        menu.addAction(tr("Save as a preset…"), self._on_save)
        if own is None or own.is_built_in:
            return
        if current is None:
            saving = tr("Save the changes in “{name}”", name=own.name)
            call_with(menu.addAction(saving).triggered, self._on_save_changes, own)
        renaming = menu.addAction(tr("Rename “{name}”…", name=own.name))
        call_with(renaming.triggered, self._on_rename, own)
        deleting = menu.addAction(icon("trash"), tr("Delete “{name}”", name=own.name))
        call_with(deleting.triggered, self._on_delete, own)

    # ---- the user's own

    @task
    async def _on_save(self) -> None:
        title, name = tr("Save as a preset"), tr("My preset")
        dialog = PresetDialog(self._window, title, name, short_name(self._models.name))
        if await accepted(dialog):
            path = str(self._models.path or "") if dialog.with_model.isChecked() else ""
            preset = Preset(name=dialog.name.text(), model_path=path)
            self._presets.save(self._with_present_settings(preset))

    def _on_save_changes(self, preset: Preset) -> None:
        self._presets.replace(self._with_present_settings(preset))

    def _with_present_settings(self, preset: Preset) -> Preset:
        self._flush()
        sampling, system_prompt = self._settings.present
        changes = {"sampling": sampling, "system_prompt": system_prompt}
        return preset.model_copy(update=changes)

    @task
    async def _on_rename(self, preset: Preset) -> None:
        dialog = PresetDialog(self._window, tr("Rename the preset"), preset.name)
        if await accepted(dialog):
            name = dialog.name.text().strip()
            self._presets.replace(preset.model_copy(update={"name": name}))

    def _on_delete(self, preset: Preset) -> None:
        undo = self._presets.delete(preset)
        deleted = tr("The preset “{name}” was deleted.", name=preset.name)
        self._window.notices.show_notice(Notice(deleted, Level.INFO, {tr("Undo"): undo}))


class PresetDialog(BoundedDialog):
    """Asks for a preset's name, and whether its model belongs to it."""

    def __init__(self, parent: QWidget, title: str, name: str, model_name: str = "") -> None:
        """`model_name` of the model that is loaded; empty where it is not asked about."""
        super().__init__(parent, title, QSize(400, 0))
        self.name = QLineEdit(name, maxLength=NAME_CHARACTERS)
        self.name.setAccessibleName(tr("Name of the preset"))
        self.name.selectAll()
        self.with_model = QCheckBox(tr("Load {model} with it", model=model_name))
        column = self.fill_column(spacing=10)
        for part in (text_label(tr("Name")), self.name, self.with_model):
            column.addWidget(part)
        self.with_model.setVisible(bool(model_name))
        choices = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(choices.Save | choices.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.name.textChanged.connect(self._on_name)
        self._on_name()
        self.name.setFocus()

    @Slot()
    def _on_name(self) -> None:
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(bool(self.name.text().strip()))
