"""Hunters of files and texts from strangers; see `campaign`."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from bench.campaign.campaign import Case, processor_s
from bench.campaign.document_hunter import documents
from bench.campaign.picture_hunter import pictures
from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineDied, PromptCacheUnavailable, R1Error, TemplateUnusable
from deepseek_r1.core.events import AnswerDelta
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.prompt.template import _SOURCES, ChatTemplate
from deepseek_r1.engine.prompt.template_process import end_renderer, renderer_pid
from deepseek_r1.formats.gguf import is_ggml, read_header
from deepseek_r1.formats.template_file import TEMPLATE_NAMES
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import PromptCacheFolder
from deepseek_r1.inference import loading
from deepseek_r1.legacy import legacy_costs
from deepseek_r1.memory.meter import cpu_seconds, peak_mib
from deepseek_r1.memory.plan import LEGACY_PROCESS_MIB
from r1desk.store import ConversationSettings, Store
from r1desk.store.archive import export_json, export_markdown
from r1desk.store.errors import ArchiveNotRead, ArchiveUnreadable
from support import foreign_exports
from support.file_verdicts import Verdict, checked_mutants
from support.ggml_files import FAMILIES
from support.gguf_files import tiny_qwen2
from support.hostile_templates import HOSTILE, template_mutants
from support.prompt_chats import long_text

LONGEST_S = 8.0
TESTS = Path(__file__).resolve().parents[2] / "tests"
_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 32, 63, 64, 127, 255, 1024, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def model_files(seed: int, folder: Path) -> Iterator[Case]:
    """Broken GGUF files, opened by one engine's process: each gets a message in ten seconds."""
    for checked in checked_mutants(folder, seed):
        violated = checked.verdict in (Verdict.VIOLATION, Verdict.DIED)
        bad = f"{checked.label}: {checked.code} {checked.text}" if violated else ""
        yield Case(str(checked.verdict), bad, checked.data, ".gguf")


# ---- files from before GGUF -----------------------------------------------------------------

CONTEXT = 256
HEAD_BYTES = 64  # where the sizes are


def old_files(seed: int, folder: Path) -> Iterator[Case]:
    """Broken files from before GGUF, through the library: none ends a process, or uses more
    memory than its bill.
    """
    sound = {name: make(folder / f"{name}.bin").read_bytes() for name, make in FAMILIES.items()}
    chosen, path = random.Random(seed), folder / "mutant.bin"
    with mock.patch.object(loading, "start_renderer"), mock.patch.object(loading, "end_renderer"):
        while True:  # old files have no templates, so no renderer is needed
            family = chosen.choice(sorted(sound))
            raw = bytearray(sound[family])
            for _ in range(chosen.choice((1, 1, 1, 2, 4))):
                damage_numbers(raw, chosen)
            path.write_bytes(raw)
            began = processor_s()
            verdict, bad = open_old_file(path)
            if (took_s := processor_s() - began) > LONGEST_S:
                bad = f"{verdict} after {took_s:.1f} s of a processor"
            yield Case(verdict, bad, bytes(raw), f"-{family}.bin")


def open_old_file(path: Path) -> tuple[str, str]:
    """The name of the error, or "answered"; and why that breaks a promise."""
    greedy = SamplingSettings(temperature=0.0, max_tokens=2)
    try:
        if not is_ggml(path):
            return "not old", ""
        with CPUInference(path, context_length=CONTEXT, thread_count=1) as model:
            model.complete("hello", sampling=greedy)
            used_mib = peak_mib(model._require_engine()._model.process_id)
    except R1Error as error:
        how = error.facts.get("how", "") if isinstance(error, EngineDied) else ""
        return f"{type(error).__name__} {how}".strip(), str(error) if how else ""
    header = read_header(path)
    parts = legacy_costs.fixed_mib(header, LoadSettings(context_length=CONTEXT))
    allowed_mib = LEGACY_PROCESS_MIB + legacy_costs.weights_mib(header) + sum(parts.values())
    over = used_mib > allowed_mib
    return "answered", f"{used_mib:.0f} of {allowed_mib:.0f} MiB" if over else ""


def damage_numbers(raw: bytearray, chosen: random.Random) -> None:
    """Change a bit, a number or two bytes somewhere, or cut the end off."""
    vocabulary = min(len(raw), 6000)
    end = chosen.choice((HEAD_BYTES, HEAD_BYTES, vocabulary, vocabulary, len(raw)))
    at = chosen.randrange(4, max(5, end))
    match chosen.randrange(5):
        case 0:
            raw[at : at + 1] = bytes([raw[at % len(raw)] ^ 1 << chosen.randrange(8)])
        case 1:
            at -= at % 4
            raw[at : at + 4] = chosen.choice(_NUMBERS).to_bytes(4, "little")
        case 2:
            at -= at % 4
            near = int.from_bytes(raw[at : at + 4], "little") + chosen.choice((-1, 1, 4, -4))
            raw[at : at + 4] = (near & 0xFFFFFFFF).to_bytes(4, "little")
        case 3:
            raw[at : at + 2] = chosen.randbytes(2)
        case _:
            del raw[chosen.randrange(at, len(raw)) :]


# ---- chat templates -------------------------------------------------------------------------

MOST_MIB = 120.0  # of the renderer: its own, a template's 64, and 64 bytes for each of its source's
HOSTILE_SHARE = 0.15  # of the templates; each takes its whole time
CONVERSATION = [
    Message(role=Role.SYSTEM, content="Be brief."),
    Message(role=Role.USER, content="What is 1+1? " * 20),
    Message(role=Role.ASSISTANT, content="<think>\nEasy.\n</think>\n\n2"),
    Message(role=Role.USER, content="And {{ 2+2 }}? 深度求索"),
]


def _rendering_s() -> float:
    """Of a processor, in this process and in the renderers so far."""
    return processor_s() + cpu_seconds(renderer_pid() or 0)


def templates(seed: int, _folder: Path) -> Iterator[Case]:
    """Changed chat templates: each ends soon with a text or a refusal, inside its memory."""
    files = [TESTS / "engine" / "r1_distill_qwen.jinja", *(TESTS / "convert").rglob("*.jinja")]
    sources = [each.read_text("utf-8") for each in files] + [_SOURCES[n] for n in TEMPLATE_NAMES]
    chosen = random.Random(seed)
    real = template_mutants(sources, seed)
    hostile = template_mutants([each for each in HOSTILE.values() if each], seed)
    end_renderer()  # the peak of an earlier one is not this hunt's
    while True:
        source = next(hostile if chosen.random() < HOSTILE_SHARE else real)
        began = _rendering_s()
        verdict, bad = "rendered", ""
        try:
            ChatTemplate(source).render(CONVERSATION, bos="<s>", eos="</s>")
        except TemplateUnusable as error:
            verdict = "over a limit" if "exceeds the limits" in str(error) else "refused"
        except Exception as error:  # noqa: BLE001 - exactly what this looks for
            verdict, bad = "failed", f"{type(error).__name__}: {error}"
        if (took_s := _rendering_s() - began) > LONGEST_S:
            bad = f"{verdict} after {took_s:.1f} s of a processor"
        if (pid := renderer_pid()) is not None and (used_mib := peak_mib(pid)) > MOST_MIB:
            bad = f"the renderer took {used_mib:.0f} MiB"
            end_renderer()  # its peak stays as long as it runs
        yield Case(verdict, bad, source, ".jinja")


# ---- prompts on disk ------------------------------------------------------------------------


def prompt_caches(seed: int, folder: Path) -> Iterator[Case]:
    """Damaged prompts on disk: the answer is the one without them, or a sentence."""
    chosen, model = random.Random(seed), tiny_qwen2(folder / "tiny.gguf", seed=2)
    sound, damaged = folder / "sound", folder / "damaged"
    wanted = cached_answer(model, sound)
    while True:
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(sound, damaged)
        files = sorted(each for each in damaged.rglob("*") if each.is_file())
        names = [damage_file(chosen.choice(files), chosen) for _ in range(chosen.choice((1, 1, 3)))]
        try:
            same = cached_answer(model, damaged) == wanted
            verdict = "the same answer" if same else "another answer"
            bad = "" if same else verdict
        except PromptCacheUnavailable:
            verdict, bad = "refused", ""
        except R1Error as error:
            verdict, bad = type(error).__name__, str(error)
        yield Case(verdict, bad, "\n".join(names))


def cached_answer(model: Path, folder: Path) -> str:
    """The likeliest answer to a long prompt, computed with the folder by a process of its own."""
    likeliest = SamplingSettings(temperature=1e-6, max_tokens=8)
    with EngineClient() as client:
        kept = PromptCacheFolder(path=str(folder), budget_mib=64, save_answers=True)
        client.load(model, LoadSettings(context_length=512), prompt_cache=kept)
        events = client.generate(long_text(1, 200), likeliest)
        return "".join(each.text for each in events if isinstance(each, AnswerDelta))


def damage_file(path: Path, chosen: random.Random) -> str:
    """Damage one file, or put something else in its place. Returns what was done."""
    if path.is_symlink() or not path.is_file():  # nothing is written where a link leads
        return f"{path.name} is changed already"
    raw = bytearray(path.read_bytes() or b"x")
    match chosen.randrange(7):
        case 0:
            for _ in range(chosen.choice((1, 1, 8))):
                raw[chosen.randrange(len(raw))] ^= 1 << chosen.randrange(8)
            path.write_bytes(raw)
            return f"{path.name}: bits"
        case 1:
            path.write_bytes(raw[: chosen.randrange(len(raw))])
            return f"{path.name}: cut"
        case 2:
            path.write_bytes(raw + chosen.randbytes(chosen.choice((1, 4096))))
            return f"{path.name}: longer"
        case 3:
            path.write_bytes(chosen.randbytes(len(raw)))
            return f"{path.name}: random bytes"
        case 4:
            other = chosen.choice(sorted(each for each in path.parent.iterdir() if each.is_file()))
            path.write_bytes(other.read_bytes())
            return f"{path.name}: {other.name} in its place"
        case 5:
            target = chosen.choice(("/proc/self/status", "/dev/zero", "/nowhere", str(path.parent)))
            path.unlink()
            path.symlink_to(target)
            return f"{path.name}: a link to {target}"
    path.unlink()
    chosen.choice((Path.mkdir, os.mkfifo))(path)
    return f"{path.name}: a folder or a pipe"


# ---- conversations --------------------------------------------------------------------------

_VALUES = (None, -1, 0, 1, 2**31, 2**70, 1e308, True, "", "user", "tool", "\ud800", "x" * 9999,
           [], {}, [[]], {"number": 0})  # fmt: skip
_STORE_CASES = 200  # of one database


def imports(seed: int, folder: Path) -> Iterator[Case]:
    """Changed documents of conversations: imported and shown, or refused in a sentence."""
    chosen, path = random.Random(seed), folder / "changed.json"
    foreign = [foreign_exports.chatgpt_chat(), foreign_exports.open_webui_chat()]
    documents = [_document(folder), json.dumps(foreign).encode()]
    documents.append(json.dumps(foreign_exports.lm_studio_chat()).encode())
    for number in range(10**9):
        with Store(folder / f"{number}" / "conversations.db") as store:
            for _ in range(_STORE_CASES):
                document = _changed_document(chosen.choice(documents), chosen)
                path.write_bytes(document)
                began = processor_s()
                verdict, bad = _imported(store, path, folder / "out.md")
                if (took_s := processor_s() - began) > LONGEST_S:
                    bad = f"{verdict} after {took_s:.1f} s of a processor"
                yield Case(verdict, bad, document, ".json")
        shutil.rmtree(folder / f"{number}")


def _document(folder: Path) -> bytes:
    with Store(folder / "sound" / "conversations.db") as store:
        for _ in range(2):
            key = store.conversations.create(ConversationSettings(system_prompt="Be short.")).id
            question = store.messages.append_user(key, "2+2?", None)
            for text in ("4", "Four"):
                answer = store.messages.begin_answer(key, question.id, "R1")
                store.messages.finish_answer(answer.id, text, "Two and two.", 3.0)
        export_json(store, folder / "sound.json")
    return (folder / "sound.json").read_bytes()


def _imported(store: Store, path: Path, shown: Path) -> tuple[str, str]:
    try:
        found = foreign_exports.import_into(store, path)
        export_markdown(store, shown, list(found.ids))
    except (ArchiveNotRead, ArchiveUnreadable):
        return "refused", ""
    except Exception as error:  # noqa: BLE001 - exactly what this looks for
        return "failed", f"{type(error).__name__}: {error}"
    return ("imported" if found.ids else "nothing new"), ""


def _changed_document(sound: bytes, chosen: random.Random) -> bytes:
    if chosen.random() < 0.3:
        raw = bytearray(sound)
        damage_numbers(raw, chosen)
        return bytes(raw)
    document = json.loads(sound)
    for _ in range(chosen.choice((1, 1, 2, 4))):
        holder, key = chosen.choice(list(_places(document)))
        alike = [each for each in _VALUES if isinstance(each, type(holder[key]))]
        if alike and chosen.random() < 0.7:
            changed = chosen.choice(alike)
        else:
            changed = chosen.choice((chosen.choice(_VALUES), [holder[key]] * 3, document))
        holder[key] = json.loads(json.dumps(changed))
    return json.dumps(document).encode()


def _places(value: object) -> Iterator[tuple[object, object]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


FILE_HUNTERS = {
    "model files": model_files,
    "old files": old_files,
    "templates": templates,
    "prompt caches": prompt_caches,
    "imports": imports,
    "documents": documents,
    "pictures": pictures,
}
