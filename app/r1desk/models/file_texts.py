"""Sentences on a model's file: its state, its facts, its owner, and why it stays."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.catalogue.known_models import KnownModel, Thinking, family_of
from deepseek_r1.catalogue.model_file import ModelFile, Owner
from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import join_sentences, tr
from deepseek_r1.core.units import format_mib, format_part, format_size
from deepseek_r1.memory.forecast import fit_facts

BREAK = "\u200b"  # zero-width: a line may be broken there
_HOST = re.compile(r"\w+://[^/]*")
_PIECE = re.compile(r"/|[^/-]{12}(?=[^/-])")


@dataclass(frozen=True, slots=True)
class Present:
    """Models in use, here or on their way. Paths are without links, files are names."""

    chosen: Path | None = None
    loaded: Path | None = None
    arriving: Collection[str] = ()

    def is_loaded(self, file: ModelFile) -> bool:
        """True for the file of the loaded model."""
        return file.real_path is not None and file.real_path == self.loaded

    def is_arriving(self, file: ModelFile) -> bool:
        """True while it is downloaded, or waits for that."""
        return any(spec.file in self.arriving for spec in file.specs)

    def state_text(self, file: ModelFile) -> str:
        """The state of a file in words; empty for nothing special."""
        if self.is_loaded(file):
            return tr("loaded")
        if file.real_path is not None and file.real_path == self.chosen:
            return tr("chosen, not loaded")
        return tr("Downloading…") if self.is_arriving(file) else ""


def chips(file: ModelFile) -> list[str]:
    """Fit, speed and memory in a few words each."""
    if file.error is not None:
        return [tr("cannot be used")]
    if file.forecast is None:
        return []
    memory = tr("{n} of memory", n=format_mib(file.forecast.bill.total_mib))
    return [*fit_facts(file.forecast), memory]


def details(file: ModelFile, ladder: str) -> str:
    """The facts of a file in paragraphs. `ladder` is the sentence on its model's files."""
    here = _facts_here(file) if file.path is not None else _facts_there(file)
    paragraphs = ["\n".join(here), ladder]
    if file.known is not None:
        paragraphs += [_licence_and_scores(file.known), join_sentences(_of_family(file.known))]
    return "\n\n".join(text for text in paragraphs if text)


def _facts_here(file: ModelFile) -> Iterator[str]:
    if file.error is not None:
        yield file.error.text()
    if file.header is not None:
        context = tr("context up to {tokens:,} tokens", tokens=file.header.context_trained)
        kind = (format_parameters(file.header.parameters), file.header.quantisation)
        yield " · ".join((*kind, context))  # the name may promise another number
    if file.forecast is not None:
        yield format_bill_summary(file.forecast.bill)


def _facts_there(file: ModelFile) -> Iterator[str]:
    if file.size_bytes is not None:
        size = tr("{size} to download", size=format_size(file.size_bytes))
        yield f"{file.file} · {size}"
    if len(file.specs) > 1:
        yield tr("It comes in {n} parts.", n=len(file.specs))
    if not file.verifiable:
        yield tr("No checksum is known for {file}.", file=file.file)
    if file.forecast is not None:
        yield format_bill_summary(file.forecast.bill)
    else:
        yield tr("Whether it fits is known after the download.")


def _licence_and_scores(model: KnownModel) -> str:
    """Licence and published scores; the makers' own are called so."""
    by: dict[str, list[str]] = {}
    for each in model.scores:
        by.setdefault(each.by or tr("makers' own figures"), []).append(f"{each.test} {each.result}")
    scores = (f"{', '.join(results)} ({who})" for who, results in by.items())
    return " · ".join((model.licence.name, *scores))


def _of_family(model: KnownModel) -> Iterator[str]:
    """What there is to know of a model's base, thinking and sampling."""
    family, base = family_of(model), model.base_licence
    if base is not None:
        yield tr("Base model {base} under {licence}.", base=model.base, licence=base.name)
    if family.thinking is Thinking.NEVER:
        yield tr("It answers without thinking.")
    else:
        yield tr("It thinks before it answers. You can limit that or turn it off.")
    if family.sampling:
        values = [f"{name} {value:g}" for name, value in family.sampling.items()]
        yield tr("Its makers recommend: {values}.", values=", ".join(values))


def owner_text(file: ModelFile) -> str:
    """The name of the owner of a file of this computer."""
    named = {
        Owner.STARTER: tr("built in"),
        Owner.OPENED: tr("opened by you"),
        Owner.DOWNLOADS: tr("Downloads folder"),
    }
    return named.get(file.owner, file.owner) if file.owner is not None else ""


def why_kept(file: ModelFile, *, loaded: bool) -> str:
    """The reason why a file cannot be deleted here; empty where it can."""
    if file.owner is Owner.STARTER:
        return tr("Built in")
    if file.owner is Owner.OLLAMA:
        return tr(
            "Ollama keeps a list of its files. Delete it with: ollama rm {name}", name=file.name
        )
    return tr("It is loaded. Unload it before you delete it.") if loaded else ""


def deletion_note(file: ModelFile) -> str:
    """The effect of deleting a file for its owner."""
    if file.owner is Owner.FOLDER:
        return tr("It is in the models folder.")
    if file.owner in (Owner.DOWNLOADS, Owner.OPENED, None):
        return tr("It is outside the models folder.")
    return tr("{owner} will no longer have this model either.", owner=file.owner.value)


def format_parameters(count: int) -> str:
    """The number of a model's weights, as models are named by it: 135M, 7.6B."""
    number = f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"
    return tr("{number} parameters", number=number)


def breakable_address(address: str) -> str:
    """An address with places to break a line: after slashes and inside long names.

    The host stays in one piece: people read it to know where a file comes from.
    """
    host = _HOST.match(address)
    start = host.end() if host else 0
    return address[:start] + _PIECE.sub(rf"\g<0>{BREAK}", address[start:])


def format_bill_summary(bill: Bill) -> str:
    """The bill in one line."""
    parts = {line.name: line.planned_mib for line in bill.lines}
    split = parts.get(BillItem.PINNED, 0.0) + parts.get(BillItem.SLOTS, 0.0)
    weights = parts.get(BillItem.WEIGHTS, split)
    rest = bill.total_mib - weights - parts[BillItem.KV_CACHE]
    return tr(
        "Memory: {part} (weights {weights}, context {context}, the rest {rest})",
        part=format_part(bill.total_mib, bill.budget_mib),
        weights=format_mib(weights),
        context=format_mib(parts[BillItem.KV_CACHE]),
        rest=format_mib(rest),
    )
