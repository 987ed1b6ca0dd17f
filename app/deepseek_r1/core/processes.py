"""The kinds of child process: the one table that they are started, locked and described by.

`docs/security.md` says what each holds and how it ends; a test compares that page with this table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module


@dataclass(frozen=True, slots=True)
class Lock:
    """The rights that a process keeps when it locks itself; see `core.process_lock`."""

    connects: bool = False  # to servers; and moves files from one folder to another
    serves: bool = False  # on a socket that is bound already
    everything: bool = False  # it is not locked: its own child is
    starts_children: bool = False  # the interpreter, and no other program


@dataclass(frozen=True, slots=True)
class ChildProgram:
    """A row of the table: what the process runs, and what it may do and use."""

    argument: str  # a bundle starts itself with it
    module: str  # its `main` is the process
    lock: Lock
    memory_mib: int = 0  # of addresses beyond its own, on Linux; 0 is unlimited
    uses_proxies: bool = False  # gets the variables of proxies and certificates
    own_threads: bool = True  # the thread that starts it lasts as long as it


class ChildKind(Enum):
    """The child processes of the library and of the window."""

    ENGINE = ChildProgram("--engine-host", "deepseek_r1.host.child", Lock(starts_children=True))
    HEADERS = ChildProgram(
        "--read-headers",
        "deepseek_r1.catalogue.header_worker",
        Lock(starts_children=True),
        memory_mib=1024,
        own_threads=False,
    )
    NETWORK = ChildProgram(
        "--network",
        "deepseek_r1.catalogue.network_worker",
        Lock(connects=True, starts_children=True),
        uses_proxies=True,
    )
    TEMPLATES = ChildProgram(
        "--template-renderer", "deepseek_r1.engine.prompt.template_renderer", Lock()
    )
    OLD_MODEL = ChildProgram(
        "--legacy-model", "deepseek_r1.legacy.legacy_model", Lock(), own_threads=False
    )
    MEASUREMENT = ChildProgram("--measure-model", "deepseek_r1.lab.quality_measure", Lock())
    FORMULAS = ChildProgram("--typeset-formulas", "r1desk.chat.formulas.formula_worker", Lock())
    EXPORTS = ChildProgram("--read-export", "r1desk.store.export_reader", Lock(), memory_mib=1024)
    DOCUMENTS = ChildProgram(
        "--read-document",
        "deepseek_r1.documents.reader_worker",
        Lock(),
        memory_mib=1024,
        own_threads=False,
    )
    SHARED_SERVER = ChildProgram(
        "--serve-shared-engine", "deepseek_r1.server.shared_server", Lock(serves=True)
    )
    INSTANCE = ChildProgram(
        "--serve-instance", "deepseek_r1.server.instances", Lock(everything=True)
    )


def run_child(arguments: Sequence[str]) -> bool:
    """Run the child process that a bundle's arguments select. False where they select none."""
    for kind in ChildKind:
        if [kind.value.argument] == list(arguments[:1]):
            import_module(kind.value.module).main()
            return True
    return False
