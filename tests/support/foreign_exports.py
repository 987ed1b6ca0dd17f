"""Small exports of other programs, in the shape that their published descriptions give."""

import json
import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from r1desk.store import Store
from r1desk.store.export_reader import read_export, slices
from r1desk.store.foreign_chats import Counts
from r1desk.store.imports import ExportSlice, Import, ImportedConversations

QUESTIONS = ("Why is the sky blue?", "天空为什么是蓝色的？")
ANSWERS = ("Air scatters **blue** light most.", "空气对**蓝光**的散射最强。")
BEGAN = 1_760_000_000.5


def import_here(run: Any, file: Path) -> ImportedConversations:
    """Import without the process that reads."""
    importing, left_out = Import(run, threading.Event()), Counts()
    try:
        for some in slices(read_export(file, left_out)):
            importing.take(ExportSlice(pieces=tuple(some)))
        return importing.finish(left_out)
    except BaseException:
        importing.undo()
        raise


def import_into(store: Store, file: Path) -> ImportedConversations:
    return import_here(lambda work: work(store), file)


def chatgpt_node(
    key: str, parent: str | None, role: str, content: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {
        "id": key,
        "parent": parent,
        "children": [],
        "message": {
            "id": key,
            "author": {"role": role, "name": None, "metadata": {}},
            "create_time": BEGAN + 1,
            "update_time": None,
            "content": content,
            "status": "finished_successfully",
            "end_turn": None,
            "weight": 1.0,
            "metadata": more.pop("metadata", {}),
            "recipient": more.pop("recipient", "all"),
            "channel": None,
        },
    }


def text(*parts: Any) -> dict[str, Any]:
    return {"content_type": "text", "parts": list(parts)}


def chatgpt_chat(number: int = 0, turns: int = 1, words: str = "") -> dict[str, Any]:
    """Hidden instructions, thinking, a call of a tool, an answer twice, then `turns` more turns."""
    slug = {"model_slug": "gpt-5-thinking"}
    question, answer = QUESTIONS[number % 2], ANSWERS[number % 2] + words
    context = {
        "content_type": "user_editable_context",
        "user_profile": "About me.",
        "user_instructions": "Be short.",
    }
    thoughts = [{"summary": "Rayleigh", "content": "Think of scattering.", "chunks": []}]
    asset = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_1"}
    nodes = [
        {"id": "root", "parent": None, "children": [], "message": None},
        chatgpt_node("context", "root", "user", context),
        chatgpt_node(
            "q", "context", "user", {"content_type": "multimodal_text", "parts": [asset, question]}
        ),
        chatgpt_node(
            "t", "q", "assistant", {"content_type": "thoughts", "thoughts": thoughts}, metadata=slug
        ),
        chatgpt_node(
            "call", "t", "assistant", {"content_type": "code", "text": "1"}, recipient="python"
        ),
        chatgpt_node("result", "call", "tool", {"content_type": "execution_output", "text": "1"}),
        chatgpt_node(
            "recap",
            "result",
            "assistant",
            {"content_type": "reasoning_recap", "content": "Thought for 8s"},
            metadata={"finished_duration_sec": 8},
        ),
        chatgpt_node(
            "a", "recap", "assistant", text(answer + "\ue200cite\ue202x\ue201"), metadata=slug
        ),
        chatgpt_node("other", "q", "assistant", text("Because."), metadata=slug),
    ]
    parent = "a"
    for turn in range(turns):
        nodes.append(chatgpt_node(f"q{turn}", parent, "user", text(f"{turn} {question} {words}")))
        nodes.append(
            chatgpt_node(
                f"a{turn}", f"q{turn}", "assistant", text(f"{turn} {answer}"), metadata=slug
            )
        )
        parent = f"a{turn}"
    return {
        "title": f"Sky 天空 {number}",
        "create_time": BEGAN + number * 3600,
        "update_time": BEGAN + number * 3600 + 60,
        "mapping": {node["id"]: node for node in nodes},
        "current_node": parent,
        "conversation_id": str(number),
        "gizmo_id": None,
        "default_model_slug": "gpt-5-thinking",
    }


def write_chatgpt(file: Path, chats: Iterable[dict[str, Any]], in_each: int = 1000) -> Path:
    """A zip as ChatGPT's, with so many conversations in each of its files."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("user.json", json.dumps({"id": "user-1", "email": "a@b.c"}))
        archive.writestr("shared_conversations.json", json.dumps([{"id": "1", "title": "x"}]))
        archive.writestr("chat.html", "<html></html>")
        for number, some in enumerate(_portions(chats, in_each)):
            archive.writestr(f"conversations-{number:03}.json", json.dumps(some))
    return file


def _portions(chats: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    for chat in chats:
        some.append(chat)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def open_webui_chat() -> dict[str, Any]:
    """Two models side by side, thinking, a call of a tool, a file with its text and a picture."""
    thought = (
        '<details type="reasoning" done="true" duration="13">\n<summary>Thought for 13 seconds'
        "</summary>\n&gt; Is 1 &lt; 2?\n> Yes.\n</details>\n"
        '<details type="tool_calls" done="true" id="c" name="search"><summary>x</summary></details>'
    )
    question = {
        "id": "q",
        "parentId": None,
        "childrenIds": ["a", "b"],
        "role": "user",
        "content": QUESTIONS[1],
        "files": [
            {
                "type": "file",
                "name": "notes.txt",
                "file": {"filename": "notes.txt", "data": {"content": "Ein Text."}},
            },
            {"type": "image", "url": "data:image/png;base64,AAAA"},
        ],
        "timestamp": int(BEGAN),
        "models": ["deepseek-r1:7b", "qwen3"],
    }
    answers = [
        {
            "id": key,
            "parentId": "q",
            "childrenIds": [],
            "role": "assistant",
            "content": content,
            "model": model,
            "modelIdx": place,
            "done": True,
            "timestamp": int(BEGAN) + 5,
        }
        for place, (key, model, content) in enumerate(
            [("a", "deepseek-r1:7b", thought + ANSWERS[1]), ("b", "qwen3", "因为散射。")]
        )
    ]
    messages = {each["id"]: each for each in [question, *answers]}
    return {
        "id": "1",
        "user_id": "u",
        "title": "天空",
        "chat": {
            "id": "",
            "title": "天空",
            "models": ["deepseek-r1:7b", "qwen3"],
            "params": {"system": "简短回答。"},
            "history": {"messages": messages, "currentId": "a"},
            "tags": [],
            "timestamp": int(BEGAN * 1000),
        },
        "created_at": int(BEGAN),
        "updated_at": int(BEGAN) + 60,
        "pinned": False,
        "meta": {},
        "folder_id": None,
    }


def lm_studio_chat() -> dict[str, Any]:
    """Thinking, a call of a tool, an answer in two versions."""

    def block(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
        began = f"{int(BEGAN * 1000)}-0.5"
        return {"type": "contentBlock", "stepIdentifier": began, "content": list(content)} | more

    def words(said: str) -> dict[str, Any]:
        return {"type": "text", "text": said, "fromDraftModel": False, "isStructural": False}

    thinking = {"type": "thinking", "ended": True, "title": "Thought for 19.35 seconds"}
    steps = [
        block(words("Think of scattering."), style=thinking),
        block({"type": "toolCallRequest", "name": "search", "parameters": {}}),
        block({"type": "toolCallResult"}),
        block(words(ANSWERS[0])),
        {"type": "debugInfoBlock", "debugInfo": "Conversation naming technique: 'prompt'"},
    ]

    def answer(*steps: dict[str, Any]) -> dict[str, Any]:
        sender = {"senderName": "deepseek-r1-distill-qwen-7b"}
        return {
            "type": "multiStep",
            "role": "assistant",
            "senderInfo": sender,
            "steps": list(steps),
        }

    question = [
        words(QUESTIONS[0]),
        {"type": "file", "fileIdentifier": "1.png", "fileType": "image"},
    ]
    return {
        "name": "Sky",
        "pinned": False,
        "createdAt": int(BEGAN * 1000),
        "assistantLastMessagedAt": int(BEGAN * 1000) + 60_000,
        "tokenCount": 100,
        "systemPrompt": "Be short.",
        "messages": [
            {
                "versions": [{"type": "singleStep", "role": "user", "content": question}],
                "currentlySelected": 0,
            },
            {
                "versions": [answer(block(words("Because."))), answer(*steps)],
                "currentlySelected": 1,
            },
            {
                "versions": [{"type": "singleStep", "role": "user", "content": [words("Thanks.")]}],
                "currentlySelected": 0,
            },
        ],
        "lastUsedModel": {"identifier": "deepseek-r1-distill-qwen-7b"},
    }


def write_lm_studio(folder: Path) -> Path:
    (folder / "Physics").mkdir(parents=True)
    file = folder / "Physics" / "1760000000500.conversation.json"
    file.write_text(json.dumps(lm_studio_chat()), encoding="utf-8")
    return folder


def write_jan(folder: Path) -> Path:
    """A thread with an edited question, thinking, a picture and a call of a tool."""
    thread = folder / "threads" / "01K"
    thread.mkdir(parents=True)
    assistant = {
        "id": "jan",
        "name": "Jan",
        "instructions": "Be short.",
        "model": {"id": "DeepSeek-R1-Distill-Qwen-7B", "engine": "llamacpp"},
    }
    facts = {
        "id": "01K",
        "object": "thread",
        "title": "Sky",
        "assistants": [assistant],
        "created": BEGAN,
        "updated": BEGAN + 60,
        "metadata": {"project": {"id": "p", "name": "Physics"}},
    }

    def message(key: str, parent: str | None, role: str, *content: dict[str, Any]) -> str:
        return json.dumps(
            {
                "type": "text",
                "role": role,
                "object": "thread.message",
                "thread_id": "01K",
                "id": key,
                "content": list(content),
                "status": "ready",
                "created_at": int(BEGAN * 1000) + len(lines) * 1000,
                "completed_at": 0,
                "metadata": {"parentId": parent},
            }
        )

    def words(said: str, kind: str = "text") -> dict[str, Any]:
        return {"type": kind, "text": {"value": said, "annotations": []}}

    lines: list[str] = []
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    lines.append(message("q", None, "user", words(QUESTIONS[0]), picture))
    call = {"type": "tool_call", "tool_call_id": "c", "tool_name": "search", "input": {}}
    thought = words("Think of scattering.", "reasoning")
    lines.append(message("a", "q", "assistant", thought, call, words(ANSWERS[0])))
    lines.append(message("q2", None, "user", words("Why is the sea blue?")))
    lines.append(message("a2", "q2", "assistant", words("<think>Hm.</think>It mirrors the sky.")))
    (thread / "thread.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    (thread / "messages.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
