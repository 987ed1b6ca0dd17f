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

import html
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

from deepseek_r1.core.i18n import N_
from r1desk.store.archive import ArchivedConversation, ArchivedMessage
from r1desk.store.records import LATEST_S, Attachment

_LONGEST_NAME = 200
_CITATION = re.compile("\ue200[^\ue200\ue201]{0,400}\ue201")  # ChatGPT's, of what is not exported
_SECONDS = re.compile(r'(?:duration="|Thought for )(\d{1,6}(?:\.\d{1,6})?)')

Wanted = TypeVar("Wanted", str, list[Any], dict[str, Any])


class Omitted(StrEnum):
    """The kinds of what is not imported, with their names."""

    FILES = N_("pictures and files")
    TOOLS = N_("tool calls")
    DAMAGED = N_("damaged files")
    OTHER = N_("unknown parts")


Counts = Counter[Omitted]


def foreign_conversation(
    value: Any, lines: Callable[[], Iterable[Any]], folder: str, left_out: Counts
) -> ArchivedConversation | None:
    """A conversation from that of another program; None where it is of no known form.

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


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _get(value: Any, path: str, default: Wanted) -> Wanted:
    """What is there, if it is of the default's type."""
    found = _at(value, path)
    return found if isinstance(found, type(default)) else default


def _get_s(value: Any, path: str) -> float:
    """The seconds, or milliseconds, that are there; 0 where no time is."""
    found = _at(value, path)
    if not isinstance(found, int | float) or not 0 <= found < LATEST_S * 1000:
        return 0.0
    return found / 1000 if found > LATEST_S else float(found)


def _joined(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


@dataclass(slots=True)
class _Node:
    """A message of another program; of roles unknown here it only keeps the place in the tree."""

    parent: Any
    role: str
    content: str
    thinking: str = ""
    thinking_s: float = 0.0
    model_name: str = ""
    created_at: float = 0.0
    attachments: tuple[Attachment, ...] = ()


class _Tree:
    """Nodes by their names, in any order."""

    def __init__(self, left_out: Counts) -> None:
        self._left_out = left_out
        self._nodes: dict[Any, _Node] = {}

    def count(self, kind: str) -> None:
        """Count a part of a message that is left out, by the program's name for its kind."""
        is_file = any(word in kind for word in ("image", "audio", "video", "file"))
        other = Omitted.TOOLS if "tool" in kind else Omitted.OTHER
        self._left_out[Omitted.FILES if is_file else other] += 1

    def add(self, key: Any, node: _Node) -> None:
        """Put a message below its parent."""
        if node.role == "user":
            node.content, node.model_name = node.content or "[…]", ""  # of pictures alone
        elif node.role == "assistant":
            self._part(node)
        node.model_name = node.model_name[:_LONGEST_NAME]
        self._nodes[key] = node

    def _part(self, node: _Node) -> None:
        """Take the thinking out of the text, where it is in marks of Open WebUI or of a model."""
        *closed, rest = node.content.split("</details>")
        texts = []
        for each in closed:
            text, mark, details = each.partition('<details type="')
            texts.append(text if mark else f"{each}</details>")
            if details.startswith("reasoning"):
                head, _, body = details.partition(">")
                quoted = html.unescape(body.rpartition("</summary>")[2].strip())
                thinking = re.sub("^> ?", "", quoted, flags=re.MULTILINE)
                node.thinking = _joined(node.thinking, thinking)
                node.thinking_s += _seconds(head)
            elif mark:
                self.count("tool")
        text = "".join((*texts, rest)).strip()
        if text.startswith("<think>"):
            thinking, _, text = text.removeprefix("<think>").partition("</think>")
            node.thinking = _joined(node.thinking, thinking.strip())
        node.content = text.strip()

    def conversation(
        self, value: Any, names: str, shown: Any, **fields: Any
    ) -> ArchivedConversation:
        """The messages as those of one conversation, each after the one above it.

        `names` are those of its title and its two times in the foreign `value`.
        """
        below = defaultdict(list)
        for key, node in self._nodes.items():
            below[node.parent if node.parent in self._nodes else None].append(key)
        found: list[_Node] = []  # with numbers in place of names
        numbers: dict[Any, int | None] = {None: None}
        ahead: list[Any] = [None]
        while ahead:
            above = ahead.pop()
            keys = sorted(below[above], key=lambda key: self._nodes[key].created_at)
            for key in keys:
                numbers[key] = self._put(self._nodes[key], numbers[above], found, key == keys[0])
            ahead += keys
        title, created, updated = names.split()
        began = _get_s(value, created) or (found[0].created_at if found else 0.0)
        for node in found:
            node.created_at = node.created_at or began
        messages = (ArchivedMessage(number=n, **asdict(node)) for n, node in enumerate(found))
        return ArchivedConversation(
            title=_get(value, title, "")[:_LONGEST_NAME],
            created_at=began,
            updated_at=_get_s(value, updated) or began,
            shown=numbers.get(shown),
            messages=tuple(messages),
            **fields,
        )

    def _put(
        self, node: _Node, above: int | None, found: list[_Node], is_first: bool
    ) -> int | None:
        """Make a message, or the next part of the answer above; returns the message's number.

        An answer is all that follows a question up to the next one.
        """
        has_text = node.content or node.thinking or node.thinking_s
        if node.role not in ("user", "assistant") or not has_text:
            return above
        if node.role == "assistant" and above is not None and found[above].role == node.role:
            answer = found[above]
            if is_first:
                answer.content = _joined(answer.content, node.content)
                answer.thinking = _joined(answer.thinking, node.thinking)
                answer.thinking_s += node.thinking_s
                return above
            above = answer.parent
        node.parent = above
        found.append(node)
        return len(found) - 1


def _chatgpt(value: Any, left_out: Counts) -> ArchivedConversation:
    tree, instructions = _Tree(left_out), ""
    for key, node in value["mapping"].items():
        content, metadata = _get(node, "message.content", {}), _get(node, "message.metadata", {})
        role, kind = _get(node, "message.author.role", ""), _get(content, "content_type", "")
        thoughts = _get(content, "thoughts", [])
        thinking = [_get(each, name, "") for each in thoughts for name in ("summary", "content")]
        if kind == "user_editable_context":
            given = _get(metadata, "user_context_message_data", {}) or content
            instructions = _joined(*(_get(given, name, "") for name in _CHATGPT_CONTEXT))
            role = ""
        elif role == "assistant" and _get(node, "message.recipient", "all") != "all":
            tree.count("tool")
            role = ""
        elif metadata.get("is_visually_hidden_from_conversation") is True:
            role = ""
        elif role in ("user", "assistant") and kind not in _CHATGPT_KINDS:
            tree.count("")
        for attached in _get(metadata, "attachments", []):
            if not _get(attached, "mime_type", "").startswith("image/"):  # which is a part too
                tree.count("file")
        texts = [_chatgpt_text(part, tree) for part in _get(content, "parts", [])]
        message = _Node(
            parent=_get(node, "parent", ""),
            role=role,
            content=_joined(*texts),
            thinking=_joined(*thinking),
            thinking_s=_get_s(metadata, "finished_duration_sec"),
            model_name=_get(metadata, "model_slug", ""),
            created_at=_get_s(node, "message.create_time"),
        )
        tree.add(key, message)
    shown, names = _get(value, "current_node", ""), "title create_time update_time"
    return tree.conversation(value, names, shown, system_prompt=instructions)


_CHATGPT_KINDS = ("text", "multimodal_text", "thoughts", "reasoning_recap")
_CHATGPT_CONTEXT = (
    *("about_user_message", "about_model_message"),  # or, in words for the model:
    *("user_profile", "user_instructions"),
)


def _chatgpt_text(part: Any, tree: _Tree) -> str:
    if _get(part, "content_type", "") == "audio_transcription":
        part = _get(part, "text", "")
    if isinstance(part, str):
        return _CITATION.sub("", part)
    tree.count(_get(part, "content_type", ""))
    return ""


def _open_webui(value: Any, left_out: Counts) -> ArchivedConversation:
    tree = _Tree(left_out)
    for key, message in _get(value, "chat.history.messages", {}).items():
        attachments = []
        for attached in _get(message, "files", []):
            if text := _get(attached, "file.data.content", ""):
                name = _get(attached, "name", "")[:_LONGEST_NAME]
                attachments.append(Attachment(name, text))
            else:
                tree.count("file")
        node = _Node(
            _get(message, "parentId", ""),
            _get(message, "role", ""),
            _get(message, "content", ""),
            model_name=_get(message, "model", ""),
            created_at=_get_s(message, "timestamp"),
            attachments=tuple(attachments),
        )
        tree.add(key, node)
    shown = _get(value, "chat.history.currentId", "")
    system = _get(value, "chat.params.system", "") or _get(value, "chat.system", "")
    return tree.conversation(value, "title created_at updated_at", shown, system_prompt=system)


def _lm_studio(value: Any, folder: str, left_out: Counts) -> ArchivedConversation:
    tree, shown = _Tree(left_out), None
    for place, message in enumerate(value["messages"]):
        above = shown
        for number, version in enumerate(_get(message, "versions", [])):
            tree.add((place, number), _lm_studio_node(above, version, tree))
            if number == 0 or number == message.get("currentlySelected"):
                shown = (place, number)
    names, system = "name createdAt assistantLastMessagedAt", _get(value, "systemPrompt", "")
    folder = folder if folder != "conversations" else ""  # where all are
    return tree.conversation(value, names, shown, system_prompt=system, folder=folder)


def _lm_studio_node(above: Any, version: Any, tree: _Tree) -> _Node:
    """A version of a message of LM Studio: text, or steps of thinking, calls and text."""
    sender = _get(version, "senderInfo.senderName", "")
    node = _Node(above, _get(version, "role", ""), "", model_name=sender)
    for step in _get(version, "steps", []) or [version]:
        began = _get(step, "stepIdentifier", "").partition("-")[0][:15]  # milliseconds
        if began.isdecimal() and began.isascii():
            node.created_at = node.created_at or int(began) / 1000
        node.thinking_s += _seconds(_get(step, "style.title", ""))
        for block in _get(step, "content", []):
            kind, text = _get(block, "type", ""), _get(block, "text", "")
            if kind == "text" and _get(step, "style.type", "") == "thinking":
                node.thinking += text
            elif kind == "text":
                node.content += text
            elif kind != "toolCallResult":
                tree.count(kind)
    return node


def _jan(value: Any, lines: Iterable[Any], left_out: Counts) -> ArchivedConversation:
    tree, shown = _Tree(left_out), ""
    assistant = next(iter(_get(value, "assistants", [])), None)
    for message in lines:
        texts: dict[str, list[str]] = {"text": [], "reasoning": []}
        for part in _get(message, "content", []):
            kind = _get(part, "type", "")
            if kind in texts:
                texts[kind].append(_get(part, "text.value", ""))
            else:
                tree.count(kind)
        is_linked = "parentId" in _get(message, "metadata", {})  # only once there are branches
        node = _Node(
            parent=_get(message, "metadata.parentId", "") if is_linked else shown,
            role=_get(message, "role", ""),
            content=_joined(*texts["text"]),
            thinking=_joined(*texts["reasoning"]),
            model_name=_get(assistant, "model.id", ""),
            created_at=_get_s(message, "created_at"),
        )
        shown = _get(message, "id", "")
        tree.add(shown, node)
    names, system = "title created updated", _get(assistant, "instructions", "")
    folder = _get(value, "metadata.project.name", "")
    return tree.conversation(value, names, shown, system_prompt=system, folder=folder)


def _seconds(text: str) -> float:
    found = _SECONDS.search(text[:_LONGEST_NAME])
    return float(found[1]) if found else 0.0
