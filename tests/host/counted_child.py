"""A child process of ours that notes in a file what it reads, plans, renders and tokenises."""

import sys
from functools import wraps
from importlib import import_module
from pathlib import Path

from deepseek_r1.core.processes import ChildKind, child_command


def counted_command(kind: ChildKind, notes: Path) -> list[str]:
    return [*child_command(kind)[:-2], __file__, kind.value.module, str(notes)]


def main(module: str, notes: str) -> None:
    """The functions are replaced before another module has their names."""
    written = Path(notes).open("a", encoding="utf-8")  # noqa: SIM115 - open before the lock

    def count(owner, name: str, what: str) -> None:
        call = getattr(owner, name)

        @wraps(call)
        def noted(*args, **options):
            text = next((each for each in args if isinstance(each, str)), "")
            print(what, repr(text), file=written, flush=True)
            return call(*args, **options)

        setattr(owner, name, noted)

    count(import_module("deepseek_r1.formats.gguf"), "read_header", "header")
    count(import_module("deepseek_r1.memory.plan"), "plan", "bill")
    count(import_module("deepseek_r1.engine.prompt.template").ChatTemplate, "render", "render")
    model = import_module("deepseek_r1.engine.llama.binding.model").LlamaModel
    count(model, "tokenize", "tokenise")
    import_module(module).main()


if __name__ == "__main__":
    main(*sys.argv[1:])
