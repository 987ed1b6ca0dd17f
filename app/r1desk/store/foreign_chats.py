"""Makes conversations of ours from those of ChatGPT, Open WebUI, LM Studio and Jan.

A value of a wrong type counts as missing. What has no place here is left out and counted. Fields as
described and read by these repositories of GitHub:

- ChatGPT (`conversations.json`): mitkury/chatgpt-export-parser, docs/chatgpt-data-export-format.md
- Open WebUI (`chat-export-….json`): open-webui/open-webui, backend/open_webui/models/chats.py, and
  utils/middleware.py for thinking and calls of tools within the text
- LM Studio (`….conversation.json`): YorkieDev/lm-studio-conversation-converter, script.js
- Jan (`thread.json`, `messages.jsonl`): janhq/jan, core/src/types/thread and message, and
  web-app/src/lib/message-branching.ts
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar

from deepseek_r1.core.i18n import N_
from r1desk.store.archive import LATEST_S, ArchivedConversation, ArchivedMessage, Piece
from r1desk.store.records import Attachment

_LONGEST_NAME = 200
_CITATION = re.compile("\ue200[^\ue200\ue201]{0,400}\ue201")  # ChatGPT's, of what is not exported
_SECONDS = re.compile(r'(?:duration="|Thought for )(\d{1,6}(?:\.\d{1,6})?)')

Wanted = TypeVar("Wanted", str, float, list[Any], dict[str, Any])


class Omitted(StrEnum):
    """The kinds of what is not imported, with their names."""

    FILES = N_("pictures and files")
    TOOLS = N_("calls of tools")
    DAMAGED = N_("damaged files")
    OTHER = N_("unknown parts")


Counts = Counter[Omitted]


def foreign_pieces(
    value: Any, lines: Callable[[], Iterable[Any]], folder: str, left_out: Counts
) -> list[Piece] | None:
    """The messages of one foreign conversation, then itself; None where it is of no known form.

    `lines` reads the messages of a thread of Jan, which has them in a file of their own. LM
    Studio's folders are those of its files; exports of the first two have no names of folders.
    """
    if _get(value, "mapping", {}):
        return _chatgpt(value, left_out)
    if _get(value, "chat", {}):
        return _open_webui(value, left_out)
    if _get(value, "object", "") == "thread":
        return _jan(value, lines(), left_out)
    if any(_get(each, "versions", []) for each in _get(value, "messages", [])):
        return _lm_studio(value, folder, left_out)
    return None


def _get(value: Any, path: str, default: Wanted) -> Wanted:
    """What is there, if it is of the default's type. A float is seconds, or milliseconds."""
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(default, float):
        if not isinstance(value, int | float) or not 0 <= value < LATEST_S * 1000:
            return default
        return value / 1000 if value > LATEST_S else float(value)
    return value if isinstance(value, type(default)) else default


def _joined(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


class _Tree:
    """Named messages, in any order. An answer is all that follows a question up to the next one."""

    def __init__(self, left_out: Counts) -> None:
        self.left_out = left_out
        self._nodes: dict[Any, tuple[Any, str, dict[str, Any]]] = {}  # parent, role, fields

    def add(self, key: Any, parent: Any, role: str, text: str, **fields: Any) -> None:
        """Put a message below another one; of other roles it only keeps the place in the tree."""
        fields = {"created_at": 0.0, "thinking": "", "thinking_s": 0.0, "content": text} | fields
        if role == "user":
            fields |= {"content": text or "[…]", "model_name": ""}  # of pictures alone
        elif role == "assistant":
            self._take_thinking_out(text, fields)
        fields["model_name"] = fields["model_name"][:_LONGEST_NAME]
        self._nodes[key] = parent, role, fields

    def _take_thinking_out(self, text: str, fields: dict[str, Any]) -> None:
        """Take out what stands in the text in the marks of Open WebUI, or of a model."""
        texts, thinking, place = [], [fields["thinking"]], 0
        while (start := text.find('<details type="', place)) >= 0:
            head, end = text.find(">", start), text.find("</details>", start)
            if not start < head < end:
                break
            texts.append(text[place:start])
            place = end + len("</details>")
            if not text.startswith("reasoning", start + 15):
                self.left_out[Omitted.TOOLS] += 1
                continue
            body = html.unescape(text[head + 1 : end].rpartition("</summary>")[2].strip())
            lines = (line.removeprefix(">").removeprefix(" ") for line in body.splitlines())
            thinking.append("\n".join(lines))
            fields["thinking_s"] += _seconds(text[start:head])
        rest = "".join((*texts, text[place:])).strip()
        if rest.startswith("<think>"):
            thought, _, rest = rest.removeprefix("<think>").partition("</think>")
            thinking.append(thought.strip())
        fields |= {"content": rest.strip(), "thinking": _joined(*thinking)}

    def pieces(self, value: Any, names: str, shown: Any, **fields: Any) -> list[Piece]:
        """The messages, each after the one above it, then the conversation.

        `names` are those of its title and its two times in the foreign `value`.
        """
        title, created, updated = names.split()
        below: dict[Any, list[Any]] = {}
        for key, (parent, _, _) in self._nodes.items():
            below.setdefault(parent if parent in self._nodes else None, []).append(key)
        found: list[dict[str, Any]] = []
        places: dict[Any, int | None] = {None: None}  # the number of the message of each name
        extended: set[Any] = set()  # the parts of answers that have a next one
        ahead: list[Any] = [None]
        while ahead:
            above = ahead.pop()
            keys = sorted(below.get(above, []), key=lambda key: self._nodes[key][2]["created_at"])
            for key in keys:
                places[key] = self._put(key, places[above], found, above not in extended)
                extended.add(above)
            ahead += keys
        if not found:
            return []
        created_at = _get(value, created, 0.0) or found[0]["created_at"]
        fields |= {"created_at": created_at, "updated_at": _get(value, updated, 0.0) or created_at}
        fields |= {"title": _get(value, title, "")[:_LONGEST_NAME], "shown": places.get(shown)}
        for number, each in enumerate(found):
            each |= {"number": number, "created_at": each["created_at"] or created_at}
        return [*(ArchivedMessage(**each) for each in found), ArchivedConversation(**fields)]

    def _put(
        self, key: Any, above: int | None, found: list[dict[str, Any]], is_next: bool
    ) -> int | None:
        """Make a message, or the next part of the answer above; returns the message's number."""
        _, role, fields = self._nodes[key]
        has_text = any(fields[name] for name in ("content", "thinking", "thinking_s"))
        if role not in ("user", "assistant") or not has_text:
            return above
        if role == "assistant" and above is not None and found[above]["role"] == role:
            answer = found[above]
            if is_next:
                for name in ("content", "thinking"):
                    answer[name] = _joined(answer[name], fields[name])
                answer["thinking_s"] += fields["thinking_s"]
                return above
            above = answer["parent"]
        found.append({"role": role, "parent": above} | fields)
        return len(found) - 1


def _chatgpt(value: Any, left_out: Counts) -> list[Piece]:
    tree, instructions = _Tree(left_out), ""
    for key, node in value["mapping"].items():
        content, metadata = _get(node, "message.content", {}), _get(node, "message.metadata", {})
        role, kind = _get(node, "message.author.role", ""), _get(content, "content_type", "")
        thoughts = _get(content, "thoughts", [])
        thinking = [_get(each, name, "") for each in thoughts for name in ("summary", "content")]
        texts = [_chatgpt_part(part, left_out) for part in _get(content, "parts", [])]
        if kind == "user_editable_context":
            given = _get(metadata, "user_context_message_data", {}) or content
            instructions = _joined(*(_get(given, name, "") for name in _CHATGPT_CONTEXT))
            role = ""
        elif role == "assistant" and _get(node, "message.recipient", "all") != "all":
            left_out[Omitted.TOOLS] += 1
            role = ""
        elif metadata.get("is_visually_hidden_from_conversation") is True:
            role = ""
        elif role in ("user", "assistant") and kind not in _CHATGPT_KINDS:
            left_out[Omitted.OTHER] += 1
        for attached in _get(metadata, "attachments", []):  # pictures are among the parts too
            left_out[Omitted.FILES] += not _get(attached, "mime_type", "").startswith("image/")
        tree.add(
            key,
            _get(node, "parent", ""),
            role,
            _joined(*texts),
            thinking=_joined(*thinking),
            thinking_s=_get(metadata, "finished_duration_sec", 0.0),
            model_name=_get(metadata, "model_slug", ""),
            created_at=_get(node, "message.create_time", 0.0),
        )
    shown = _get(value, "current_node", "")
    names = "title create_time update_time"
    return tree.pieces(value, names, shown, system_prompt=instructions)


_CHATGPT_KINDS = ("text", "multimodal_text", "thoughts", "reasoning_recap")
_CHATGPT_CONTEXT = (
    *("about_user_message", "about_model_message"),  # or, in words for the model:
    *("user_profile", "user_instructions"),
)


def _chatgpt_part(part: Any, left_out: Counts) -> str:
    kind = _get(part, "content_type", "")
    if isinstance(part, str) or kind == "audio_transcription":
        return _CITATION.sub("", part if isinstance(part, str) else _get(part, "text", ""))
    is_file = any(word in kind for word in ("image", "audio", "video"))
    left_out[Omitted.FILES if is_file else Omitted.OTHER] += 1
    return ""


def _open_webui(value: Any, left_out: Counts) -> list[Piece]:
    tree = _Tree(left_out)
    for key, message in _get(value, "chat.history.messages", {}).items():
        attachments = []
        for attached in _get(message, "files", []):
            name, text = _get(attached, "name", ""), _get(attached, "file.data.content", "")
            if text:
                attachments.append(Attachment(name[:_LONGEST_NAME], text))
            left_out[Omitted.FILES] += not text
        tree.add(
            key,
            *(_get(message, name, "") for name in ("parentId", "role", "content")),
            model_name=_get(message, "model", ""),
            created_at=_get(message, "timestamp", 0.0),
            attachments=tuple(attachments),
        )
    shown = _get(value, "chat.history.currentId", "")
    system = _get(value, "chat.params.system", "") or _get(value, "chat.system", "")
    return tree.pieces(value, "title created_at updated_at", shown, system_prompt=system)


def _lm_studio(value: Any, folder: str, left_out: Counts) -> list[Piece]:
    tree, shown = _Tree(left_out), None
    for place, message in enumerate(value["messages"]):
        above = shown
        for number, version in enumerate(_get(message, "versions", [])):
            _add_version(tree, (place, number), above, version)
            if number == 0 or number == message.get("currentlySelected"):
                shown = (place, number)
    names, system = "name createdAt assistantLastMessagedAt", _get(value, "systemPrompt", "")
    folder = folder if folder != "conversations" else ""  # where all are
    return tree.pieces(value, names, shown, system_prompt=system, folder=folder)


def _add_version(tree: _Tree, key: tuple[int, int], above: Any, version: Any) -> None:
    """Add a version of a message of LM Studio: text, or steps of thinking, calls and text."""
    texts, seconds, began = {"": "", "thinking": ""}, 0.0, ""
    for step in _get(version, "steps", []) or [version]:
        began = began or _get(step, "stepIdentifier", "").partition("-")[0][:15]  # milliseconds
        seconds += _seconds(_get(step, "style.title", ""))
        for block in _get(step, "content", []):
            kind = _get(block, "type", "")
            if kind == "text":
                is_thinking = _get(step, "style.type", "") == "thinking"
                texts["thinking" if is_thinking else ""] += _get(block, "text", "")
            elif kind != "toolCallResult":
                tree.left_out[_LM_STUDIO_KINDS.get(kind, Omitted.OTHER)] += 1
    tree.add(
        key,
        above,
        _get(version, "role", ""),
        texts[""],
        thinking=texts["thinking"],
        thinking_s=seconds,
        model_name=_get(version, "senderInfo.senderName", ""),
        created_at=int(began) / 1000 if began.isdecimal() and began.isascii() else 0.0,
    )


_LM_STUDIO_KINDS = {"file": Omitted.FILES, "toolCallRequest": Omitted.TOOLS}


def _jan(value: Any, lines: Iterable[Any], left_out: Counts) -> list[Piece]:
    tree, shown = _Tree(left_out), ""
    assistant = next(iter(_get(value, "assistants", [])), None)
    for message in lines:
        texts: dict[str, list[str]] = {"text": [], "reasoning": []}
        for part in _get(message, "content", []):
            kind = _get(part, "type", "")
            if kind in texts:
                texts[kind].append(_get(part, "text.value", ""))
            else:
                left_out[_JAN_KINDS.get(kind, Omitted.OTHER)] += 1
        is_linked = "parentId" in _get(message, "metadata", {})  # only once there are branches
        above = _get(message, "metadata.parentId", "") if is_linked else shown
        shown = _get(message, "id", "")
        tree.add(
            shown,
            above,
            _get(message, "role", ""),
            _joined(*texts["text"]),
            thinking=_joined(*texts["reasoning"]),
            model_name=_get(assistant, "model.id", ""),
            created_at=_get(message, "created_at", 0.0),
        )
    folder, system = _get(value, "metadata.project.name", ""), _get(assistant, "instructions", "")
    return tree.pieces(value, "title created updated", shown, system_prompt=system, folder=folder)


_JAN_KINDS = {"image_url": Omitted.FILES, "tool_call": Omitted.TOOLS}


def _seconds(text: str) -> float:
    found = _SECONDS.search(text[:_LONGEST_NAME])
    return float(found[1]) if found else 0.0
