"""The memory budget beside documents: the peaks of whole commands, each in its control group.

    sudo .venv/bin/python bench/bench_documents.py MODEL [--budgets 762,900,1100,1400]
        [--ways generate,library,serve,window] [--draft FILE] [--embedding FILE] [--scan] [--json]

Each run reads a document of 40 pages, a text of 15 MB and a PDF of 3 KB whose forms draw each other
10^12 times, and asks about them: with neither, one and both of the other models. The group's limit
is the budget and 38 MiB for page cache. With `--scan` it reads a scan of 30 pages in their place.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

import psutil
import pypdfium2

from bench.machine_limits import MemoryGroup
from bench.runner import Report, argument_parser
from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.meter import process_mib, unshared_mib
from support import servers
from support.document_files import expanding_forms, pdf, pdf_lines

QUESTION = "What is the code of the safe?"
BESIDE_MIB = 38.0  # of the group: page cache, and what the kernel keeps for processes
SAMPLE_S = 0.05
SCANNED = 30  # pages
READING_S = 900.0  # 15 MB of text and a long prompt, beside other programs


@dataclass
class Peaks:
    """Follows the memory of a process and all below it while its group counts it as well."""

    group: MemoryGroup
    program_mib: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)

    def follow(self, pid: int) -> None:
        """A process that is being started has its owner's memory, and its command line, still."""
        while not self.ended.wait(SAMPLE_S):
            try:
                process = psutil.Process(pid)
                own, below = process.cmdline(), process.children(recursive=True)
                below = [each for each in below if each.cmdline() != own]
            except psutil.NoSuchProcess:
                if psutil.pid_exists(pid):
                    continue
                return
            now_mib = process_mib(pid) + sum(unshared_mib(each.pid) for each in below)
            self.program_mib = max(self.program_mib, now_mib)


def made_documents(folder: Path) -> list[Path]:
    """The three documents."""
    chance, names = random.Random(1), ("pages.pdf", "text.txt", "forms.pdf")
    words = "the river runs past an old mill where people once made flour for bread".split()  # noqa: SIM905
    paths = [folder / name for name in names]
    paths[0].write_bytes(
        pdf(
            [
                pdf_lines(*(" ".join(chance.choices(words, k=12)) for _ in range(33)))
                for _ in range(40)
            ]
        )
    )
    text = "\n\n".join(" ".join(chance.choices(words, k=80)) for _ in range(40_000))
    paths[1].write_text(text[:15_000_000], encoding="utf-8")
    paths[2].write_bytes(expanding_forms())
    return paths


def made_scan(folder: Path) -> list[Path]:
    """Thirty of these pages as pictures of 150 dots an inch in a PDF."""
    pages = pypdfium2.PdfDocument(made_documents(folder)[0])
    drawn = [pages[n].render(scale=150 / 72).to_pil().convert("L") for n in range(SCANNED)]
    drawn[0].save(folder / "scan.pdf", save_all=True, append_images=drawn[1:])
    return [folder / "scan.pdf"]


def ask_library(model: Path, options: dict[str, object], documents: Sequence[str]) -> None:
    """Ask about each document, in this process; print what came of it."""
    outcomes = []
    with CPUInference(model, swap_enabled=True, **options) as inference:  # type: ignore[arg-type]
        for each in documents:
            try:
                inference.complete(QUESTION, 4, documents=[each])
                outcomes.append("read")
            except R1Error as error:
                outcomes.append(str(error))
        planned = inference.loaded.bill.total_mib
    print(json.dumps({"planned": planned, "outcomes": outcomes}))


def ask_window(model: Path, options: dict[str, object], documents: Sequence[str]) -> None:
    """Ask about each document in a real window, in this process; print what came of it."""
    from bench.own_process import ask, own_session, until  # noqa: PLC0415
    from r1desk.chat.values.intents import AttachFiles  # noqa: PLC0415 - Qt is for this way alone

    load = LoadSettings(swap_enabled=True, context_length=4096, **options)  # type: ignore[arg-type]
    refused: list[ErrorReport] = []
    with own_session(model, load, 4) as session:
        models, composer, outcomes = session.models, session.window.composer, []
        models.load_failed.connect(refused.append)
        until(lambda: bool(models.current or refused), "the model loads")
        planned = models.current.bill.total_mib if models.current else 0.0
        session.chat_feature.documents.files.refused.connect(refused.append)
        for each in documents if models.current else ():
            refused.clear()
            composer.requested.emit(AttachFiles((each,)))
            until(lambda: bool(refused) or composer._can_send(), "the document is read", READING_S)
            if not refused:
                ask(session, QUESTION, READING_S)
            answer = session.chat.shown_branch[-1]
            error = refused[0] if refused else answer.error
            outcomes.append(error.text() if error is not None else answer.state)
    print(json.dumps({"planned": planned, "outcomes": outcomes or [refused[0].text()]}))


IN_PROCESS = {"library": ask_library, "window": ask_window}


def ask_server(given: argparse.Namespace, peaks: Peaks, options: Sequence[str]) -> list[str]:
    """Upload each document to a server in the group, and ask about it."""
    more = ("--max-body-mib", "16", "--swap-enabled", *options)
    server = servers.start(
        given.model, *more, context_length=4096, wait=False, preexec_fn=peaks.group.join
    )
    threading.Thread(target=peaks.follow, args=(server.process.pid,), daemon=True).start()
    outcomes = []
    try:
        server.wait_until_ready()
        with server.client(timeout=1200) as client:
            (model,) = client.models.list()
            for each in given.documents:
                try:
                    file = client.files.create(file=each, purpose="user_data")
                    content = [
                        {"type": "text", "text": QUESTION},
                        {"type": "file", "file": {"file_id": file.id}},
                    ]
                    client.chat.completions.create(
                        model=model.id,
                        messages=[{"role": "user", "content": content}],
                        max_tokens=4,
                    )
                    outcomes.append("read")
                except servers.openai.APIStatusError as error:
                    outcomes.append(error.body["message"])
    except AssertionError as ended:  # the load was refused
        outcomes.append(str(ended))
    finally:
        server.process.terminate()
        server.process.wait()
    return outcomes


def run(given: argparse.Namespace, way: str, budget_mib: int, others: dict[str, Path]) -> dict:
    """One run; what came of it, with the peaks."""
    group = MemoryGroup(budget_mib + BESIDE_MIB)
    peaks = Peaks(group)
    names = {"draft_model": "--draft-model", "embedding_model": "--embedding-model"}
    options = ["--memory-budget", str(budget_mib)]
    options += [text for key, path in others.items() for text in (names[key], str(path))]
    planned = 0.0
    try:
        if way == "serve":
            outcomes = ask_server(given, peaks, options)
        else:
            command = [
                sys.executable,
                "-m",
                "deepseek_r1",
                "generate",
                QUESTION,
                "--swap-enabled",
                "--json",
            ]
            command += ["--max-tokens", "4", "--model", str(given.model), *options]
            command += [text for each in given.documents for text in ("--document", str(each))]
            if way in IN_PROCESS:
                fields = {"memory_budget": budget_mib} | {k: str(v) for k, v in others.items()}
                call = [str(given.model), json.dumps(fields), *map(str, given.documents)]
                command = [sys.executable, __file__, "--in", way, *call]
            process = subprocess.Popen(
                command,
                preexec_fn=group.join,  # noqa: PLW1509 - it only writes to a file
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT / "app",
            )
            threading.Thread(target=peaks.follow, args=(process.pid,), daemon=True).start()
            out, err = process.communicate()
            said = [line for line in err.splitlines() if line.strip()]
            outcomes = [f"exit {process.returncode}", *said[-3:]]
            if process.returncode == 0:
                report = json.loads(out)
                planned = (
                    report["planned"] if "planned" in report else report["memory"]["planned_mb"]
                )
                outcomes = report.get("outcomes") or outcomes
        return {
            "planned_mib": round(planned),
            "program_mib": round(peaks.program_mib),
            "kernel_mib": round(group.peak_mib),
            "limit_hits": group.limit_hits,
            "outcomes": outcomes,
        }
    finally:
        peaks.ended.set()
        time.sleep(2 * SAMPLE_S)
        group.remove()


def main() -> int:
    """Run the command line. Returns the exit status."""
    if sys.argv[1:2] == ["--in"]:
        IN_PROCESS[sys.argv[2]](Path(sys.argv[3]), json.loads(sys.argv[4]), sys.argv[5:])
        return 0
    parser = argument_parser(__doc__, needs_model=True)
    parser.add_argument("--budgets", default="762,900,1100,1400", help="MiB")
    parser.add_argument("--ways", default="generate,library,serve,window")
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--embedding", type=Path)
    given = parser.parse_args()
    read_header(given.model)
    draft = {"draft_model": given.draft} if given.draft else {}
    embedding = {"embedding_model": given.embedding} if given.embedding else {}
    kinds = [{}, draft, embedding, draft | embedding]
    kinds = [kind for at, kind in enumerate(kinds) if kind not in kinds[:at]]
    with TemporaryDirectory() as folder:
        given.documents = (made_scan if given.scan else made_documents)(Path(folder))
        made = "a scan" if given.scan else "40 pages, 15 MB of text, a PDF of nested forms"
        report = Report(given, documents=made)
        for budget_mib in map(int, given.budgets.split(",")):
            for others in kinds:
                for way in given.ways.split(","):
                    with TemporaryDirectory() as profile:  # chats of earlier runs have documents
                        os.environ["R1DESK_PROFILE"] = profile
                        found = run(given, way, budget_mib, others)
                    facts = {"budget_mib": budget_mib, "way": way, "with": list(others)} | found
                    report.row("  ".join(f"{k} {v}" for k, v in facts.items()), **facts)
    report.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
