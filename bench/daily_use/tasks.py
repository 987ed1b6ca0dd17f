"""The tasks of a person's day, each a function of a `Person`."""

from __future__ import annotations

from collections.abc import Callable

from desktop import click, drag, key, type_text
from person import COMPOSER, LIST, Person

QUESTIONS = (
    "What is a good name for a small cat?", "Why do leaves turn red in autumn?",
    "Give me three ideas for dinner.", "How does a bicycle stay upright?",
    "Write two sentences about the sea.", "What is the difference between rain and snow?",
    "Explain what a prime number is.", "How do I make good tea?",
    "Which planet is the largest?", "Suggest a title for a story about a lighthouse.",
)  # fmt: skip
CHINESE = ("天空为什么是蓝色的？", "怎样泡一杯好茶？", "写两句关于大海的话。", "什么是质数？")
LONG = (
    "Write a very long story about a ship, with many chapters and details.",
    "Write a long essay about the history of Rome, in many paragraphs.",
    "Explain in great detail how a computer works, part by part.",
)
MOST_FOLDERS = 5
PROMPT, PROMPT_TEXT = "Letter to a friend", "Write to {{friend}} about {{topic}}, in two sentences."


def question(me: Person) -> str:
    """Some question, in Chinese at times where the window is Chinese."""
    chinese = me.tree.language != "en" and me.random.random() < 0.5
    return me.fresh(me.random.choice(CHINESE if chinese else QUESTIONS))


def new_chat(me: Person) -> None:
    """Ctrl+N and typing at once: the text lands in the new chat."""
    before, text = me.chats.shown(), me.fresh(me.random.choice(QUESTIONS))
    with me.step("Ctrl+N, and type at once"):
        click(me.tree.find("text", COMPOSER).centre)
        type_text(text, first="ctrl+n", delay_ms=8)
        me.sees(lambda: me.written() == text, "the whole text in the message box", 15)
    with me.step("send, and read the answer"):
        message = me.send(text)
        chat = me.chats.one("SELECT conversation_id FROM messages WHERE id = ?", message)
        parent = me.chats.one("SELECT parent_id FROM messages WHERE id = ?", message)
        assert chat != before, f"the text landed in the chat before, {before}"
        assert parent is None, "the text is not the first of its chat"
        assert me.answered(message).strip(), "the answer is empty"


def ask(me: Person) -> None:
    """Ask in the chat on the screen, and wait for the answer."""
    me.ask(question(me))


def _begin_long(me: Person) -> int:
    """Ask for a long answer in a new chat and wait until it is being written."""
    key("ctrl+n")
    me.tree.pump(0.5)
    text = me.fresh(me.random.choice(LONG))
    me.write(text)
    message = me.send(text)
    me.sees(lambda: (me.chats.answer_after(message) or ("", ""))[1], "the answer's beginning", 60)
    return message


def stop_by_key(me: Person) -> None:
    """Ask, and stop the answer with Esc."""
    _stop(me, by_key=True)


def stop_by_button(me: Person) -> None:
    """Ask, and stop the answer with the button."""
    _stop(me, by_key=False)


def _stop(me: Person, *, by_key: bool) -> None:
    """Stop a long answer; asked again where it was short all the same."""
    with me.step("ask for a long answer, and stop it"):
        for _ in range(4):
            message = _begin_long(me)
            me.tree.pump(me.random.uniform(0, 1.5))
            if button := me.tree.look("button", "Stop"):
                me.stop(None if by_key else button)
            me.answered(message)
            if (me.chats.answer_after(message) or ("", ""))[0] == "stopped":
                return
        raise AssertionError("four answers ended before they were stopped")


def queue(me: Person) -> None:
    """Send two messages while an answer is written, and withdraw the second."""
    gone = "SELECT count(*) FROM messages WHERE id = ?"
    with me.step("ask for a long answer, send two more meanwhile, withdraw the last one"):
        sent, text = [_begin_long(me)], ""
        for text in (me.fresh(LONG[0]), question(me)):
            me.write(text)
            key("Return")
            sent.append(me.stored(text))
        me.tree.pump(0.5)
        buttons = me.lowest("Withdraw")
        # Else its turn has come.
        if buttons and (len(buttons) > 1 or me.chats.answer_after(sent[1])):
            click(buttons[-1].centre)
            me.sees(lambda: not me.chats.one(gone, sent[-1]), "the message withdrawn", 20)
            me.sees(lambda: text in me.written(), "its text in the message box", 20)
            sent.pop()
    with me.step("wait for all answers"):
        for each in sent:
            me.answered(each)


def another_answer(me: Person) -> None:
    """Have the last answer written again, by key or by its button."""
    last = me.ask(question(me))
    with me.step("answer again"):
        count = "SELECT count(*) FROM messages WHERE parent_id = ?"
        before = me.chats.one(count, last)
        if me.random.random() < 0.5:
            key("ctrl+r")
        else:
            click(me.lowest("Regenerate")[-1].centre)
        me.sees(lambda: me.chats.one(count, last) > before, "another version", 30)
        me.answered(last)
    with me.step("look at the version before"):
        key("alt+Left")
        me.tree.find("button", "Next version")


def edit_message(me: Person) -> None:
    """Edit the last question in its place and send it again."""
    me.ask(question(me))
    text = me.fresh("Say it in one short sentence, please.")
    with me.step("edit the last question"):
        click(me.tree.find("text", COMPOSER).centre)
        key("Up")
        me.tree.find("text", "Edit your message")
        key("ctrl+a")
        type_text(text)
        key("Return")
        me.answered(me.stored(text))
        me.tree.gone("text", "Edit your message")


def delete_and_undo(me: Person) -> None:
    """Move a chat to the trash by its menu or by keys, and undo that."""
    trashed = "SELECT trashed_at FROM conversations WHERE id = ?"
    with me.step("delete a chat"):
        if me.random.random() < 0.5:
            (chat,) = me.some_chats(1)
            me.menu_of_row(me.rows()[chat], "Move to trash")
        else:
            chat = me.walk(me.random.randrange(4))
            key("ctrl+Delete")
        me.sees(lambda: me.chats.one(trashed, chat), "the chat in the trash", 20)
        if by_button := me.random.random() < 0.5:  # it goes sooner than a person may come back
            me.press("button", "Undo", timeout_s=6)
            me.sees(lambda: not me.chats.one(trashed, chat), "the chat back", 20)
    if by_button:
        return
    with me.step("undo"):
        click(me.tree.find("text", COMPOSER).centre)
        key("ctrl+z")
        me.sees(lambda: not me.chats.one(trashed, chat), "the chat back", 20)


def rename(me: Person) -> None:
    """Rename a chat with F2 or by its menu."""
    title = me.fresh(f"My {me.random.choice(('notes', 'plans', 'letters'))}")
    with me.step("rename a chat"):
        if me.random.random() < 0.5:
            chat = me.walk(me.random.randrange(4))
            me.type_name(lambda: key("F2"), title)
        else:
            (chat,) = me.some_chats(1)
            me.type_name(lambda: me.menu_of_row(me.rows()[chat], "Rename"), title)
        me.sees(lambda: me.chats.titles().get(chat) == title, "the new title", 20)


def make_folder(me: Person) -> None:
    """Make a folder and give it a name."""
    name = f"Folder {len(_folders(me)) + 1}"
    if len(_folders(me)) >= MOST_FOLDERS:
        return
    with me.step("make a folder"):
        me.type_name(lambda: me.press("button", "New folder"), name)
        me.sees(lambda: name in _folders(me), f"{name} in the store", 20)


def _folders(me: Person) -> dict[str, int]:
    return {name: key for key, name in me.chats.rows("SELECT id, name FROM folders")}


def _folder_of(me: Person, chat: int) -> int | None:
    return me.chats.one("SELECT folder_id FROM conversations WHERE id = ?", chat)


def drag_into_folder(me: Person) -> None:
    """Drag a chat onto a folder."""
    if len(_folders(me)) < 3:
        make_folder(me)
    with me.step("drag a chat into a folder"):
        me.list_to_top()
        seen = {name: row for name in _folders(me) if (row := me.folder_row(name))}
        assert seen, "no folder in sight at the list's top"
        name = me.random.choice(list(seen))
        target = _folders(me)[name]
        chats = [each for each in me.rows() if _folder_of(me, each) != target]
        assert chats, "no chat outside of the folder in sight"
        chat = me.random.choice(chats)
        drag(me.rows()[chat].centre, seen[name].centre)
        me.sees(lambda: _folder_of(me, chat) == target, f"the chat in {name}", 20)


def move_by_keys(me: Person) -> None:
    """Move a chat into a folder with Ctrl+M."""
    if len(_folders(me)) < 3:
        make_folder(me)
    with me.step("move a chat with Ctrl+M"):
        chat = me.walk(me.random.randrange(5))
        names = [name for name, folder in _folders(me).items() if folder != _folder_of(me, chat)]
        name = me.random.choice(names)
        me.menu_of(lambda: key("ctrl+m"), name)
        me.sees(lambda: _folder_of(me, chat) == _folders(me)[name], f"the chat in {name}", 20)


def _select_several(me: Person) -> list[int]:
    """Select chats with Ctrl or Shift and clicks."""
    first, second, third = me.some_chats(3)
    me.open(first)
    for chat in (second, third):
        click(me.rows()[chat].centre, held="ctrl")
    found = [first, second, third]
    me.sees(
        lambda: all("selected" in me.rows()[each].states for each in found), "three selected", 15
    )
    return found


def export_several(me: Person) -> None:
    """Select three chats and export them together."""
    suffix = me.random.choice(("md", "html"))
    file = me.files / f"export-{me.steps}.md"
    with me.step("select three"):
        chats = _select_several(me)
    with me.step(f"export them ({suffix})"):
        me.menu_of_row(me.rows()[chats[1]], "Export…")
        me.file_dialog(file)
        me.sees(lambda: file.exists() and file.stat().st_size > 0, f"{file.name} written", 60)


def delete_several(me: Person) -> None:
    """Select chats with Shift and a click, delete them; mostly undo it."""
    trashed = "SELECT count(*) FROM conversations WHERE trashed_at IS NOT NULL"
    with me.step("select with Shift"):
        first, second = me.some_chats(2)
        me.open(first)
        click(me.rows()[second].centre, held="shift")
        me.sees(lambda: "selected" in me.rows()[second].states, "the last one selected", 15)
    before = me.chats.one(trashed)
    with me.step("delete them with Ctrl+Del"):
        key("ctrl+Delete")
        me.sees(lambda: me.chats.one(trashed) >= before + 2, "them in the trash", 20)
    if len(me.chats.titles()) < 60:
        with me.step("undo"):
            click(me.tree.find("text", COMPOSER).centre)
            key("ctrl+z")
            me.sees(lambda: me.chats.one(trashed) == before, "them back", 20)


def palette_chat(me: Person) -> None:
    """Open a chat by the palette."""
    with me.step("open a chat by the palette"):
        titles = me.chats.titles()
        chat = me.random.choice([each for each, title in titles.items() if title])
        me.palette(titles[chat], titles[chat])
        me.sees(lambda: me.chats.titles()[me.chats.shown()] == titles[chat], "the chat shown", 20)


def palette_entry(me: Person) -> None:
    """Choose an entry of the menu by the palette."""
    name = me.tree.shown("About")
    with me.step("open “About” by the palette"):
        me.palette(name, name)
        me.sees(me.tree.dialog, "the dialog", 20)
    with me.step("close it"):
        key("Escape")
        me.no_dialog()


def _have_prompt(me: Person) -> None:
    """Write the prompt with fields, the first time."""
    if me.chats.one("SELECT count(*) FROM prompts WHERE name = ?", PROMPT):
        return
    with me.step("write a prompt with fields"):
        name = me.tree.shown("New prompt…")
        me.palette(name, name)
        me.sees(me.tree.dialog, "the dialog", 20)
        click(me.tree.find("text", "Name").centre)
        key("ctrl+a")
        type_text(PROMPT)
        click(me.tree.find("text", "Text").centre)
        type_text(PROMPT_TEXT)
        me.sees(lambda: me.tree.find("text", "Text").text == PROMPT_TEXT, "its text", 10)
        key("Tab", "Return")
        me.no_dialog()
        me.sees(lambda: me.chats.one("SELECT count(*) FROM prompts"), "the prompt stored", 20)


def palette_prompt(me: Person) -> None:
    """Put a prompt into the message box by the palette."""
    _have_prompt(me)
    with me.step("take a prompt from the palette"):
        me.palette(PROMPT, PROMPT)
        me.sees(lambda: me.written() == PROMPT_TEXT, "the prompt in the message box", 15)
        key("ctrl+a", "Delete")


def slash_prompt(me: Person) -> None:
    """Type a slash, choose a prompt, fill in its fields, send."""
    _have_prompt(me)
    text = PROMPT_TEXT.replace("{{friend}}", f"Anna {me.number}").replace("{{topic}}", "the garden")
    with me.step("choose a prompt behind a slash"):
        me.write("")
        type_text("/")
        me.tree.find("text", "Find a prompt")
        type_text("letter")
        me.found_in_palette(PROMPT)
        key("Return")
        me.sees(lambda: me.written() == PROMPT_TEXT, "the prompt in the message box", 15)
    with me.step("fill in its fields, and send"):
        type_text(f"Anna {me.number}")
        key("Tab")
        type_text("the garden")
        me.sees(lambda: me.written() == text, "both fields filled in", 10)
        me.answered(me.send(text))


def search(me: Person) -> None:
    """Search in the chats, and open a hit."""
    word = me.random.choice(("cat", "tea", "ship", "planet", "story"))
    hits = "SELECT count(*) FROM messages WHERE content LIKE ?"
    with me.step(f"search “{word}”"):
        key("ctrl+k")
        type_text(word)
        box = me.tree.find("tree", LIST)
        if me.chats.one(hits, f"%{word}%"):
            me.sees(lambda: len([each for each in me.tree.controls(box.node)
                                 if word in each.name.lower()]), "a hit", 20)  # fmt: skip
            key("Return")
            me.tree.pump(1.5)
    with me.step("end the search"):
        click(me.tree.find("text", "Search in titles and messages").centre)
        key("Escape")
        me.sees(
            lambda: not me.tree.find("text", "Search in titles and messages").text, "an end", 10
        )


def import_chats(me: Person) -> None:
    """Import what another program exported, by the dialogs and real keys."""
    left = sorted(me.files.glob("chatgpt-*.zip"))
    if not left:
        return
    file, before = left[0], len(me.chats.titles())
    with me.step("import an export"):
        me.menu_of(lambda: me.press("button", "Export and import"), me.tree.shown("Import chats…"))
        me.press("button", "File…")
        me.tree.gone("button", "File…")
        me.file_dialog(file)
        me.sees(lambda: len(me.chats.titles()) > before, "more chats", 60)
    file.rename(file.with_suffix(".done"))


def unload_and_load(me: Person) -> None:
    """Unload the model in the chooser; the next message loads it again."""
    me.ask(question(me))  # after a comparison it is unloaded
    with me.step("unload the model"):
        key("ctrl+o")
        me.sees(me.tree.dialog, "the chooser", 20)
        me.press("button", "Unload")
        me.tree.gone("button", "Unload", 30)
    with me.step("close the chooser"):
        key("Escape")
        me.no_dialog()
    me.ask(question(me))


def budget(me: Person) -> None:
    """Move the memory budget by keys and by mouse, load again where that is needed, ask."""

    def kept() -> int:
        return me.chats.preferences()["load"]["memory_budget"]

    me.ask(question(me))  # after a comparison no model is loaded
    with me.step("open the panel, set the budget by keys"):
        key("ctrl+j")
        me.press("page tab", "Model")
        wanted = me.random.choice((512, 1024, 1536, 2048, 3072))
        click(me.tree.find("spin button", "Memory budget").centre)
        key("ctrl+a")
        type_text(f"{wanted / 1024:g}")  # in GB
        key("Tab")
        _apply(me)
        me.sees(lambda: kept() == wanted, f"a budget of {wanted} MiB in force", 30)
    with me.step("move the slider by mouse and keys"):
        slider = me.tree.find("slider", "Memory budget")
        x, y, width, height = slider.box
        for at in (x + width - 4, x + 4, x + width - 4):
            click((at, y + height // 2))
        key("Right", "Right")
        _apply(me)
        me.sees(lambda: kept() != wanted, "another budget in force", 30)
    me.ask(question(me))
    with me.step("close the panel"):
        key("ctrl+j")
        me.tree.gone("spin button", "Memory budget")


def _apply(me: Person) -> None:
    """Press “Apply and reload” where it is offered, and wait for the model."""
    me.tree.pump(1.0)
    if me.tree.look("button", "Apply and reload"):
        me.press("button", "Apply and reload")
        me.tree.gone("button", "Apply and reload", 30)
        me.tree.pump(2.0)


def help_pages(me: Person) -> None:
    """Open the help, look for a word in it, close it."""
    with me.step("F1"):
        key("F1")
        me.press("text", "Find in all guides")
        type_text(me.random.choice(("budget", "prompt", "folder")))
        me.tree.pump(1.0)
        key("Return", "Return")
    with me.step("close the help"):
        key("Escape")
        me.no_dialog()


def text_size(me: Person) -> None:
    """Larger and smaller text, by keys and in the settings."""

    def points() -> int:
        return me.chats.preferences()["text_size_pt"]

    with me.step("larger by keys"):
        before = points()
        key("ctrl+equal", "ctrl+equal")
        me.sees(lambda: points() > before, "larger text", 20)
    with me.step("the system's in the settings"):
        key("ctrl+comma")
        me.sees(me.tree.dialog, "the settings", 20)
        me.choose(me.tree.beside("Text size", "combo box"), 0)
        me.sees(lambda: points() == 0, "the system's size", 20)
        key("Escape")
        me.no_dialog()


def compare(me: Person) -> None:
    """Ask the same model twice, side by side."""
    with me.step("open the comparison"):
        key("ctrl+n")
        me.tree.pump(0.5)
        key("ctrl+shift+m")
        text = me.fresh(me.random.choice(QUESTIONS))
        me.press("text", "Question")
        type_text(text)
        boxes = [
            each for each in me.tree.controls(me.tree.dialog().node) if each.role == "combo box"
        ]
        same = [each for each in boxes if each.name == boxes[0].name]
        assert len(same) >= 2, f"not the same model twice: {[each.name for each in boxes]}"
    with me.step("ask them, and read both answers"):
        me.press("button", "Compare", timeout_s=30)
        me.no_dialog()

        def both() -> bool:
            return len(me.lowest("Continue with this one")) == 2

        me.sees(both, "two answers", 240)
    with me.step("go on with one"):
        me.press("button", "Continue with this one")
        me.tree.find("text", COMPOSER)
        me.stored(text)


def attach(me: Person) -> None:
    """Attach a small document and ask about it."""
    file = me.files / f"notes-{me.steps}.txt"
    file.write_text(f"The garden has {me.steps} trees. Anna planted them.\n" * 20)
    with me.step("attach a document"):
        key("ctrl+n")
        me.tree.pump(0.5)
        key("ctrl+u")
        me.file_dialog(file)
        me.tree.find("button", "Attached file: {label}", timeout_s=30)
    me.ask(me.fresh("How many trees has the garden?"))


def scroll(me: Person) -> None:
    """Scroll through the longest chat."""
    ask = ("SELECT conversation_id FROM messages JOIN conversations c ON c.id = conversation_id"
           " WHERE trashed_at IS NULL GROUP BY conversation_id ORDER BY count(*) DESC")  # fmt: skip
    chat = me.chats.one(ask)
    title = me.chats.titles()[chat]
    with me.step("open the longest chat"):
        me.palette(title, title)
        me.sees(lambda: me.chats.shown() == chat or me.chats.titles()[me.chats.shown()] == title,
                "the chat shown", 20)  # fmt: skip
    with me.step("scroll through it"):
        view = me.tree.find("filler", "Chat")
        for ticks in (-30, 10, -60, 40):
            me.roll(view, ticks)
            me.tree.pump(0.5)
        if me.tree.look("button", "Jump to the end"):
            me.press("button", "Jump to the end")
            me.tree.gone("button", "Jump to the end")


def ten_chats(me: Person) -> None:
    """Open ten chats one after the other by keys."""
    with me.step("next and previous chat"):
        seen = []
        for keys in ("ctrl+Next", "ctrl+Prior"):
            for _ in range(5):
                key(keys)
                me.tree.pump(0.6)
                seen.append(me.chats.shown())
        assert len(set(seen)) > 1, f"the same chat all the time: {seen}"
        title = me.chats.titles().get(seen[-1], "")
        me.sees(lambda: me.tree.main_window().name.startswith(title), f"“{title}” in the frame", 15)


def copy_answer(me: Person) -> None:
    """Copy the last answer and paste it into the message box."""
    answer = me.answered(me.ask(question(me)))
    with me.step("copy the answer, and paste it"):
        key("ctrl+shift+c")
        click(me.tree.find("text", COMPOSER).centre)
        key("ctrl+v")
        me.sees(lambda: me.written().split() == answer.split(), "the answer in the message box", 15)
        key("ctrl+a", "Delete")


def appearance(me: Person, language: str, theme: str) -> None:
    """Choose a language and a theme in the settings."""
    languages, themes = [None, "en", "zh_CN"], ["system", "light", "dark", "high_contrast"]
    with me.step(f"settings: {language}, {theme}"):
        key("ctrl+comma")
        me.sees(me.tree.dialog, "the settings", 20)
        if me.chats.preferences()["language"] != language:
            me.choose(me.tree.beside("Language", "combo box"), languages.index(language))
            me.tree.language = language
            me.sees(lambda: me.tree.dialog() and me.tree.look("label", "Appearance"),
                    "the settings in the other language", 30)  # fmt: skip
            me.tree.pump(1.5)
        me.choose(me.tree.beside("Appearance", "combo box"), themes.index(theme))
        me.sees(lambda: me.chats.preferences()["theme"] == theme, "the theme kept", 20)
    with me.step("close the settings"):
        key("Escape")
        me.no_dialog()


def first_day(me: Person) -> None:
    """Answer the card of the first start."""
    with me.step("use the starter model"):
        me.press("button", "Use the starter model now", timeout_s=30)


TASKS: dict[str, Callable[[Person], None]] = {
    each.__name__: each
    for each in (
        new_chat, ask, stop_by_key, stop_by_button, queue, another_answer, edit_message,
        delete_and_undo, rename, make_folder, drag_into_folder, move_by_keys, export_several,
        delete_several, palette_chat, palette_entry, palette_prompt, slash_prompt, search,
        import_chats, unload_and_load, budget, help_pages, text_size, compare, attach, scroll,
        ten_chats, copy_answer,
    )
}  # fmt: skip
