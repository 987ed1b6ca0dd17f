"""What can go wrong in the user's world, each with a message a person can act on.

An error is a class with three texts: what happened, why, what to do. Its facts fill the `{places}`
in them. `report()` makes it a value that crosses the host's pipe; `raise_report` brings it back.
Bugs of ours are ordinary exceptions and are never dressed up as one of these.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from deepseek_r1.core.words import N_, sentences, tr

Fact = str | int | float


class ErrorReport(BaseModel):
    """An error as a value: which one, and the facts that fill its texts."""

    model_config = ConfigDict(frozen=True)

    code: str
    facts: dict[str, Fact] = {}

    @property
    def error(self) -> R1Error:
        """The exception this reports."""
        return R1Error.known.get(self.code, EngineFailed)(**self.facts)

    def text(self) -> str:
        """All three sentences in the current language."""
        return str(self.error)


class R1Error(Exception):
    """Base of all errors a user may meet. Subclasses set the texts and the exit code."""

    what: ClassVar[str] = ""
    why: ClassVar[str] = ""
    todo: ClassVar[str] = ""
    exit_code: ClassVar[int] = 1
    known: ClassVar[dict[str, type[R1Error]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if R1Error.known.setdefault(cls.__name__, cls) is not cls:
            raise TypeError(f"two errors are called {cls.__name__}: a report could not tell them")

    def __init__(self, **facts: Fact) -> None:
        super().__init__(facts)
        self.facts = facts

    def sentences(self) -> tuple[str, str, str]:
        """What happened, why, and what to do, in the current language."""
        return (self._filled(self.what), self._filled(self.why), self._filled(self.todo))

    def _filled(self, template: str) -> str:
        facts = _Known({name: _readable(fact) for name, fact in self.facts.items()})
        return tr(template).format_map(facts) if template else ""

    def __str__(self) -> str:
        return sentences(self.sentences())

    def report(self) -> ErrorReport:
        """This error as a value."""
        return ErrorReport(code=type(self).__name__, facts=self.facts)


def _readable(fact: Fact) -> Fact:
    """Counts and sizes with their thousands apart."""
    return f"{fact:,}" if isinstance(fact, int) else fact


class _Known(dict[str, Fact]):
    """A missing fact shows as a question mark: a message must never fail."""

    def __missing__(self, key: str) -> str:
        return "?"


# ---- a model is refused ---------------------------------------------------------------------


class ModelRefused(R1Error):
    """The file or the settings cannot become a running model."""

    what = N_("This model cannot be used.")
    exit_code = 3


class ModelFileMissing(ModelRefused):
    """No such file."""

    what = N_("The model file {path} is not there.")
    why = N_("It was moved, renamed or deleted, or its drive is not connected.")
    todo = N_("Choose the file again, or pick another model.")


class ModelFileUnreadable(ModelRefused):
    """The system does not let us read it."""

    what = N_("The model file {path} cannot be read.")
    why = N_("The system says: {detail}.")
    todo = N_("Check the file's permissions, or copy it to a folder of yours.")


class ModelFileEmpty(ModelRefused):
    """Zero bytes, or only zeros."""

    what = N_("The model file {path} is empty.")
    why = N_("A download or a copy probably did not finish.")
    todo = N_("Download or copy the file again.")


class NotAModelFile(ModelRefused):
    """Not GGUF at all."""

    what = N_("{path} is not a GGUF model.")
    why = N_("A GGUF file starts with the letters GGUF; this one starts with “{magic}”.")
    todo = N_("Choose a file that ends in .gguf, for example one from the model list.")


class LegacyModelFile(ModelRefused):
    """One of GGML's formats from before GGUF, in a way that no engine here reads."""

    what = N_("{path} is in the old {format} format and cannot be read.")
    why = N_("{detail}")
    todo = N_("Look for a GGUF version of the same model.")


class GgufVersionUnknown(ModelRefused):
    """GGUF, but of a version we cannot read."""

    what = N_("{path} is GGUF version {version}, which this application cannot read.")
    why = N_("It reads the versions 1 to 3.")
    todo = N_("Look for a newer file of the same model, or update this application.")


class ModelFileTruncated(ModelRefused):
    """The tensors' table points behind the end of the file."""

    what = N_("The model file {path} is incomplete.")
    why = N_("It should have {expected} bytes and has {actual}.")
    todo = N_("Download or copy the file again; the disk may have been full.")


class ModelFileDamaged(ModelRefused):
    """Something in the header contradicts itself."""

    what = N_("The model file {path} is damaged.")
    why = N_("Its header does not hold together: {detail}.")
    todo = N_("Download the file again, from a source you trust.")


class ModelWithoutWeights(ModelRefused):
    """Only metadata or only a vocabulary."""

    what = N_("{path} holds no weights.")
    why = N_("It has a header and perhaps a vocabulary, but nothing to compute with.")
    todo = N_("Choose the model file itself, usually the largest in its folder.")


class ArchitectureUnknown(ModelRefused):
    """A kind of model that the engine does not compute, or does not write text."""

    what = N_("{path} is a model of the kind “{architecture}”, which cannot chat here.")
    why = N_("The engine knows the families of Llama, Qwen, DeepSeek and their relatives.")
    todo = N_("Choose a chat model of one of these families.")


class SplitPartMissing(ModelRefused):
    """One of several files is not there or is not what it says."""

    what = N_("The model comes in {count} files and {missing} is not usable.")
    why = N_("{detail}")
    todo = N_("Put all parts of the model into one folder and choose the first.")


class ContextTooLarge(ModelRefused):
    """More context than the model was trained for."""

    what = N_("A context of {asked} tokens is more than this model can use.")
    why = N_("It was trained for {trained}.")
    todo = N_("Set the context to {trained} tokens or less.")


class BudgetTooSmall(ModelRefused):
    """The bill exceeds the budget; `advice` is the nearest thing that fits."""

    what = N_("This model needs {needed_mib} MiB and the memory budget is {budget_mib} MiB.")
    why = N_("Weights take {weights_mib} MiB, the context {kv_mib} MiB, the rest {rest_mib} MiB.")
    todo = N_("{advice}")


class ModelLoadFailed(ModelRefused):
    """The engine's own loader said no."""

    what = N_("The engine could not load {path}.")
    why = N_("It says: {detail}.")
    todo = N_("Download the file again, or choose another model.")


class LoadStopped(ModelRefused):
    """The user stopped the load."""

    what = N_("Loading the model was stopped.")


class TemplateUnusable(ModelRefused):
    """The chat template is missing, hostile or broken."""

    what = N_("The model's chat template cannot be used.")
    why = N_("{detail}")
    todo = N_("Choose another file of the same model; the template is part of the file.")


# ---- a request is refused -------------------------------------------------------------------


class WrongUsage(R1Error):
    """An option or argument that makes no sense."""

    what = N_("{detail}")
    exit_code = 2


class PromptTooLong(R1Error):
    """The conversation does not fit into the context window."""

    what = N_("The conversation has {tokens} tokens and the context holds {context}.")
    why = N_("Nothing is forgotten silently here, so the message was not sent to the model.")
    todo = N_("Raise the context in the performance panel, shorten the message, or start anew.")


class ModelNotLoaded(R1Error):
    """A question without a model to answer it."""

    what = N_("No model is loaded.")
    todo = N_("Choose a model first.")


class EngineBusy(R1Error):
    """One answer at a time."""

    what = N_("The engine is still busy with another answer.")
    todo = N_("Wait for it or stop it.")


# ---- the engine fails -----------------------------------------------------------------------


class EngineFailed(R1Error):
    """The engine met an error of its own and lives on."""

    what = N_("The engine failed.")
    why = N_("It says: {detail}.")
    todo = N_("Send the message again. If it happens again, load the model anew.")
    exit_code = 4


class EngineDied(EngineFailed):
    """The engine's process ended by itself."""

    what = N_("The engine stopped unexpectedly ({how}).")
    why = N_("{detail}")
    todo = N_("Your text is safe. Send again to restart the engine.")


class EngineOutOfMemory(EngineFailed):
    """The system killed it, which nearly always means that memory ran out."""

    what = N_("The system ended the engine ({how}).")
    why = N_("This usually happens when the computer runs out of memory.")
    todo = N_("Your text is safe. Close other programs or choose a smaller context or model.")


class EngineHung(EngineFailed):
    """No sign of life."""

    what = N_("The engine gave no sign of life for {seconds} seconds and was ended.")
    why = N_("It may have been stuck, or the computer was very busy.")
    todo = N_("Your text is safe. Send again to restart the engine.")


class EngineKeepsDying(EngineFailed):
    """The restart budget is used up."""

    what = N_("The engine stopped {count} times within {minutes} minutes and is left stopped.")
    why = N_("The last time: {detail}")
    todo = N_("Try a smaller context or another model, then press “Start engine”.")


class EngineStartFailed(EngineFailed):
    """The child process or the native library does not start."""

    what = N_("The engine could not be started.")
    why = N_("{detail}")
    todo = N_("Install the application again; if that does not help, report it with the log.")


class ProcessorTooOld(R1Error):
    """The programs' own code cannot run here."""

    what = N_("This computer's processor is too old for R1 Desk.")
    why = N_("It lacks {missing}, which processors have had since about 2010.")
    todo = N_("Use R1 Desk on a newer computer.")


class LegacyEngineUnavailable(EngineStartFailed):
    """The library for old model files is missing or does not load on this machine."""

    what = N_("The engine for old model files does not run on this computer ({machine}).")
    why = N_("It says: {detail}.")
    todo = N_("Choose a GGUF version of the same model, which the main engine opens.")


class StreamingUnavailable(EngineStartFailed):
    """The engine's library is not built as the streaming of weights needs it."""

    what = N_("This engine cannot run a model from the disk.")
    why = N_("The engine's library is not as expected: {detail}.")
    todo = N_("Turn off “Swap to disk” and choose a model that fits the memory budget.")


class ProtocolBroken(EngineFailed):
    """The child said something that is no frame of ours."""

    what = N_("The engine sent something that could not be understood and was ended.")
    why = N_("{detail}")
    todo = N_("Your text is safe. Send again to restart the engine.")
