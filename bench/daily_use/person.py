"""What a person does with the application, one movement at a time, each checked by what is seen."""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from desktop import click, key, picture, point, type_text, xdotool
from outside import StoredChats, ticks_in
from window_tree import Control, NotSeen, WindowTree

MOST_TICKS = 12  # of all children in three seconds after a stop: more would be computing
LIST, COMPOSER = "Chats", "Message"


class StepFailed(Exception):
    """A step did not come to what it should; it is in the report."""


class Person:
    """Uses the application. `steps` are told to a CSV file, failures also to `failures`."""

    def __init__(self, tree: WindowTree, chats: StoredChats, out: Path, pace_s: float) -> None:
        self.tree, self.chats, self.pace_s, self.out = tree, chats, pace_s, out
        self.files = out / "files"
        self.random = random.Random(20)  # the same day each time
        self.phase = self.task = ""
        self.number = self.steps = 0
        self.failures: list[str] = []
        self.stops: list[tuple[int, int]] = []  # ticks after a stop, at rest
        self._log = csv.writer((out / "steps.csv").open("a", buffering=1))

    # ---- steps ------------------------------------------------------------------------------

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step: a pause as of a person before it, a line in the log after it."""
        self.tree.pump(self.pace_s * self.random.uniform(0.4, 1.6))
        self.steps += 1
        began = time.time()
        try:
            yield
        except Exception as error:
            file = self.out / f"failed-{len(self.failures) + 1:02}.png"
            picture(file)
            what = f"{time.strftime('%H:%M:%S')} {self.phase}, {self.task}: {name}: {error}"
            self.failures.append(f"{what} ([picture]({file.name}))")
            print("FAILED", what, flush=True)
            self._tell(began, name, f"failed: {error}")
            raise StepFailed(name) from error
        self._tell(began, name, "ok")

    def _tell(self, began: float, name: str, result: str) -> None:
        row = [f"{began:.2f}", f"{time.time():.2f}", self.phase, self.task, name, result]
        self._log.writerow(row)

    def sees(self, seen: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
        """Wait until it is so; what was seen at last."""
        return self.tree.until(seen, what, timeout_s)

    def press(self, role: str, name: str, **how: Any) -> None:
        """Click on a control."""
        found = self.tree.find(role, name, **how)
        self.sees(
            lambda: "enabled" in (self.tree.look(role, name) or found).states, f"{name} enabled"
        )
        click((self.tree.look(role, name) or found).centre)

    def lowest(self, name: str) -> list[Control]:
        """All buttons of this name, the lowest on the screen last."""
        shown = self.tree.shown(name)
        found = (each for each in self.tree.controls() if each.role == "button")
        return sorted((each for each in found if each.name == shown), key=lambda at: at.box[1])

    # ---- writing ----------------------------------------------------------------------------

    def fresh(self, text: str) -> str:
        """A text that was not written before."""
        self.number += 1
        return f"{self.number}: {text}"

    def write(self, text: str, *, keep: bool = False) -> None:
        """Click into the message box and type; what is in it already goes unless `keep`."""
        click(self.tree.find("text", COMPOSER).centre)
        if not keep and self.written():
            key("ctrl+a", "Delete")
        self.type_into(lambda: self.tree.find("text", COMPOSER), text)

    def type_into(self, field: Callable[[], Control], text: str) -> None:
        """Type into the field that has the keyboard; Chinese again where xdotool lost some."""
        for attempt in range(1 if text.isascii() else 3):
            if attempt:
                key("ctrl+a", "Delete")
            type_text(text)
            try:
                self.sees(lambda: text in field().text, f"“{text}” in the field", 10)
            except NotSeen:
                if text.isascii() or attempt == 2:
                    raise
            else:
                return

    def written(self) -> str:
        """What stands in the message box."""
        return self.tree.find("text", COMPOSER).text

    def send(self, text: str) -> int:
        """Send what is written, by key or by button; the stored message."""
        if self.random.random() < 0.7:
            key("Return")
        else:
            self.press("button", "Send")
        return self.stored(text)

    def stored(self, text: str) -> int:
        """The message with this text, once it is stored."""
        ask = "SELECT max(id) FROM messages WHERE role = 'user' AND content = ?"
        return self.sees(lambda: self.chats.one(ask, text), f"“{text}” stored", 30)

    def answered(self, message: int, timeout_s: float = 240) -> str:
        """The text of a message's answer, once it is complete."""

        def ended() -> bool:
            found = self.chats.answer_after(message)
            return found is not None and found[0] not in ("streaming", "queued")

        self.sees(ended, "the answer's end", timeout_s)
        state, text = self.chats.answer_after(message) or ("", "")
        assert state in ("complete", "stopped"), f"the answer is {state}: {text[:80]}"
        return text

    def ask(self, text: str) -> int:
        """Write, send, wait for the answer; the message."""
        with self.step("write"):
            self.write(text)
        with self.step("send, and read the answer"):
            message = self.send(text)
            assert self.answered(message).strip(), "the answer is empty"
        return message

    def stop(self, button: Control | None) -> None:
        """Stop an answer by a button or by Esc; what computes afterwards is counted."""
        if button:
            click(button.centre)
        else:
            key("Escape")
        pid, wait = self.tree.pid, self.tree.pump
        wait(0.3)
        after = ticks_in(pid, wait)
        self.tree.gone("button", "Stop")
        wait(5.0)
        at_rest = ticks_in(pid, wait)
        self.stops.append((after, at_rest))
        assert after <= MOST_TICKS, f"{after} ticks in the 3 s after the stop, {at_rest} at rest"

    # ---- the list ---------------------------------------------------------------------------

    def rows(self) -> dict[int, Control]:
        """The chats whose rows are wholly in sight, from the top."""
        box = self.tree.find("tree", LIST)
        bottom = box.box[1] + box.box[3]
        titles, found = self.chats.titles(), {}
        for row in self.tree.controls(box.node):
            inside = row.box[1] >= box.box[1] and row.box[1] + row.box[3] <= bottom
            for chat, title in titles.items() if row.role == "table cell" and inside else ():
                if title and (row.name == title or row.name.startswith(title + ". ")):
                    found.setdefault(chat, row)
        return found

    def folder_row(self, name: str) -> Control | None:
        """The row of a folder."""
        return self.tree.look("table cell", f"{name}. " + self.tree.shown("Folder"))

    def roll(self, control: Control, ticks: int) -> None:
        """Turn the wheel over a control, down for a positive number."""
        point(control.centre)
        xdotool("click", "--repeat", abs(ticks), "--delay", 40, 5 if ticks > 0 else 4)
        self.tree.pump(0.3)

    def list_to_top(self) -> None:
        """Show the list's beginning."""
        self.roll(self.tree.find("tree", LIST), -60)

    def open(self, chat: int) -> None:
        """Click on a chat's row and wait until it is on the screen."""
        if self.chats.shown() != chat:
            click(self.rows()[chat].centre)
        self.sees(lambda: self.chats.shown() == chat, "the chat that was clicked", 20)

    def some_chats(self, count: int) -> list[int]:
        """Chats in sight, from the top."""
        self.list_to_top()
        found = list(self.rows())
        assert len(found) >= count, f"only {len(found)} chats in sight"
        return sorted(self.random.sample(found, count), key=found.index)

    def walk(self, steps: int) -> int:
        """Go into the list by keys and down in it to a chat, which is shown then; that chat."""
        key("ctrl+k", "Down")
        for step in range(steps + 12):
            self.tree.pump(0.7)
            chat = self.chats.shown()
            row = self.rows().get(chat or 0)
            if chat and step >= steps and row and "selected" in row.states:
                return chat
            key("Down")  # on from a folder or a heading too
        raise NotSeen("a chat that is selected in the list")

    def type_name(self, open_it: Callable[[], object], name: str) -> None:
        """Open the editor of a row and type into it; it is no part of the list's tree."""
        self.tree.forget_focus()
        open_it()

        def edits() -> bool:
            return any("text" in each.get_role_name() for each in self.tree.focused())

        self.sees(edits, "an editor in the list", 15)
        key("ctrl+a")
        type_text(name)
        key("Return")

    # ---- menus, dialogs, lists to choose from ------------------------------------------------

    def menu_of(self, open_it: Callable[[], object], *names: str) -> None:
        """Open a menu and choose an entry; with several names, of a menu in it."""
        self.tree.forget_focus()
        open_it()
        for name in names:
            self.tree.pump(0.5)
            if name not in self.tree.entries():
                key("Down")
            what = f"“{name}” in the menu"
            entry = self.sees(lambda name=name: self.tree.entries().get(name), what, 15)
            self.tree.forget_focus()
            click(entry.centre)

    def menu_of_row(self, row: Control, *names: str) -> None:
        """Right-click on a row and choose."""
        self.menu_of(lambda: click(row.centre, button=3), *map(self.tree.shown, names))

    def choose(self, box: Control, place: int) -> None:
        """Choose by keys in a combo box."""
        click(box.centre)
        self.tree.pump(0.5)
        key("Home", *(["Down"] * place), "Return")
        self.tree.pump(0.5)

    def file_dialog(self, path: Path) -> None:
        """Type a path into the dialog for files, and Enter."""
        self.sees(self.tree.dialog, "the dialog for files", 20)
        field = self.sees(lambda: next((each for each in self.tree.controls(self.tree.dialog().node)
                                        if each.role == "text" and "focused" in each.states), None),
                          "its field with the keyboard", 15)  # fmt: skip
        key("ctrl+a")
        type_text(str(path), delay_ms=15)
        self.sees(lambda: field.node and _text_of(field) == str(path), "the path in its field", 10)
        key("Return")
        self.tree.pump(1.0)
        if self.tree.dialog():  # the first one chose in the list of completions
            key("Return")
        self.no_dialog()

    def no_dialog(self) -> None:
        """Wait until no dialog is open."""
        self.sees(lambda: not self.tree.dialog(), "no dialog open", 20)

    def palette(self, typed: str, chosen: str) -> None:
        """Open the palette, type, and choose what is found, by key where it comes first."""
        key("ctrl+p")
        field = "Find a chat, a model, a prompt or an action"
        self.type_into(lambda: self.tree.find("text", field), typed)
        row = self.found_in_palette(chosen)
        if self.random.random() < 0.5:
            click(row.centre)
        else:
            key("Return")
        self.tree.gone("text", field)

    def found_in_palette(self, name: str) -> Control:
        """The first thing found, which is to have this name."""

        def look() -> Control | None:
            box = self.tree.look("tree", "What was found")
            cells = list(self.tree.controls(box.node)) if box else []
            named = [each for each in cells if each.role == "table cell" and each.name]
            return named[1] if len(named) > 1 and named[1].name == name else None  # after a heading

        return self.sees(look, f"“{name}” as the first thing in the palette", 15)

    # ---- afterwards -------------------------------------------------------------------------

    def tidy(self) -> None:
        """Leave what is open, whatever it is; the message box is empty and has the keyboard."""
        for _ in range(8):
            try:
                key("Escape")
                self.tree.pump(0.6)
                if self.tree.dialog():
                    continue
                if self.tree.look("button", "Back to the chat"):
                    self.press("button", "Back to the chat")
                panel = self.tree.look("check box", "Model and memory")
                if panel and "checked" in panel.states:
                    click(panel.centre)
                search = self.tree.look("text", "Search in titles and messages")
                if search and search.text:
                    click(search.centre)
                    key("Escape")
                if box := self.tree.look("text", COMPOSER):
                    click(box.centre)
                    if self.written():
                        key("ctrl+a", "Delete")
                    return
            except NotSeen:
                continue  # it was going away
        raise NotSeen("the window did not come back to a message box")


def _text_of(field: Control) -> str:
    return field.text
