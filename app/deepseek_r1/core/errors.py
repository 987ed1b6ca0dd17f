"""Errors of the user's world, each with a message that a person can act on.

An error is a class with three texts: what happened, which is its docstring too, why, and what to
do. Its facts fill the `{fields}` in them. `report()` makes it a value that crosses the host's pipe;
`ErrorReport.error` restores it. Bugs of ours are ordinary exceptions and never become one of these.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from deepseek_r1.core.i18n import N_, join_sentences, tr
from deepseek_r1.core.units import file_in_sentence, in_sentence

Fact = str | int | float


class ErrorReport(BaseModel, frozen=True):
    """An error as a value: its code, and the facts that fill its texts."""

    code: str
    facts: dict[str, Fact] = {}

    @property
    def error(self) -> R1Error:
        return R1Error.by_code.get(self.code, EngineFailed)(**self.facts)

    def text(self) -> str:
        """Return all three sentences in the current language."""
        return str(self.error)


class R1Error(Exception):
    """Base of all errors that a user may meet. Subclasses set the texts and the exit code."""

    what: ClassVar[str] = ""
    why: ClassVar[str] = ""
    todo: ClassVar[str] = ""
    exit_code: ClassVar[int] = 1
    by_code: ClassVar[dict[str, type[R1Error]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = cls.__doc__ or cls.what
        if R1Error.by_code.setdefault(cls.__name__, cls) is not cls:
            raise TypeError(f"two errors are named {cls.__name__}: reports need distinct names")

    def __init__(self, /, **facts: Fact) -> None:
        super().__init__(facts)
        self.facts = facts

    def sentences(self) -> tuple[str, str, str]:
        """Return what happened, why, and what to do, in the current language."""
        facts = _Facts({key: _shown(key, value) for key, value in self.facts.items()})
        what, why, todo = (tr(text).format_map(facts) for text in (self.what, self.why, self.todo))
        return what, why, todo

    def __str__(self) -> str:
        return join_sentences(self.sentences())

    def report(self) -> ErrorReport:
        """Return this error as a value."""
        return ErrorReport(code=type(self).__name__, facts=self.facts)


def _shown(key: str, value: Fact) -> Fact:
    if key.endswith("_mib") and isinstance(value, int | float):
        return in_sentence(value, up=key.startswith("needed"))
    if key.endswith("_bytes") and isinstance(value, int):
        return file_in_sentence(value, up=key.startswith("needed"))
    return f"{value:,}" if isinstance(value, int) else value


class _Facts(dict[str, Fact]):
    """Fills a missing fact with a question mark: a message must never fail."""

    def __missing__(self, key: str) -> str:
        return "?"


# ---- a model is refused ---------------------------------------------------------------------


class ModelRefused(R1Error):
    """The file or the settings cannot become a running model."""

    what = N_("This model cannot be used.")
    exit_code = 3


class ModelFileMissing(ModelRefused):
    what = N_("The model file {path} does not exist.")
    why = N_("It was moved, renamed or deleted, or the drive is not connected.")
    todo = N_("Choose the file again, or pick another model.")


class ModelFileUnreadable(ModelRefused):
    what = N_("The model file {path} cannot be read.")
    why = N_("The system reports: {detail}.")
    todo = N_("Check the file's permissions, or copy it to a folder of yours.")


class ModelFileEmpty(ModelRefused):
    what = N_("The model file {path} is empty.")
    why = N_("The download or copy probably did not finish.")
    todo = N_("Download or copy the file again.")


class NotAModelFile(ModelRefused):
    what = N_("{path} is not a GGUF model.")
    why = N_("A GGUF file starts with the letters GGUF; this one starts with “{magic}”.")
    todo = N_("Choose a file that ends in .gguf, for example one from the model list.")


class LegacyModelFile(ModelRefused):
    what = N_("{path} is in the old {format} format and cannot be read.")
    why = N_("{detail}")
    todo = N_("Look for a GGUF version of the same model.")


class GgufVersionUnknown(ModelRefused):
    what = N_("{path} is GGUF version {version}, which R1 Desk cannot read.")
    why = N_("Versions 1 to 3 can be read.")
    todo = N_("Look for a newer file of the same model, or update R1 Desk.")


class ModelFileUnknown(ModelRefused):
    """The file may be sound, and is of a later kind; `advice` is what to take in its place."""

    what = N_("{path} contains something that R1 Desk does not know.")
    why = N_("{detail}")
    todo = N_("{advice}")


class ModelFileTruncated(ModelRefused):
    what = N_("The model file {path} is incomplete.")
    why = N_("It needs at least {needed_bytes} and has {actual_bytes}.")
    todo = N_("Download or copy the file again; the disk may have been full.")


class ModelFileDamaged(ModelRefused):
    what = N_("The model file {path} is damaged.")
    why = N_("Its header contradicts itself: {detail}.")
    todo = N_("Download the file again, from a source you trust.")


class ModelWithoutWeights(ModelRefused):
    what = N_("{path} contains no weights.")
    why = N_("It has a header, but no weights.")
    todo = N_("Choose the model file itself, usually the largest in its folder.")


class ArchitectureUnknown(ModelRefused):
    what = N_("{path} is a model of type “{architecture}”, which R1 Desk cannot chat with.")
    why = N_("The engine supports the Llama, Qwen and DeepSeek families and related models.")
    todo = N_("Choose a chat model from one of these families.")


class ArchitectureTooNew(ArchitectureUnknown):
    what = N_("{path} is a model of type “{architecture}”, which this version does not know.")
    why = N_("Newer models need a newer llama.cpp than it has.")
    todo = N_("Update R1 Desk, or choose a model from its list.")


class SplitPartMissing(ModelRefused):
    what = N_("The model comes in {count} files, and {missing} cannot be used.")
    why = N_("{detail}")
    todo = N_("Put all parts of the model into one folder and choose the first.")


class TrainedTooShort(ModelRefused):
    what = N_("{path} cannot be used for chat.")
    why = N_("It can read {trained} tokens at a time; at least {least} are needed.")
    todo = N_("Choose another model.")


class ContextTooLarge(ModelRefused):
    what = N_("A context of {asked} tokens is more than this model can use.")
    why = N_("It was trained for {trained}.")
    todo = N_("Set the context to {trained} tokens or less.")


class BudgetTooSmall(ModelRefused):
    """The bill exceeds the budget; `advice` is the nearest configuration that fits."""

    what = N_("{model} needs {needed_mib} and the memory budget is {budget_mib}.")
    why = N_("Weights take {weights_mib}, the context {kv_mib}, the rest {rest_mib}.")
    todo = N_("{advice}")


class ModelLoadFailed(ModelRefused):
    what = N_("The engine of this version could not load {path}.")
    why = N_("It reports: {detail}.")
    todo = N_("Choose another model, update R1 Desk, or download the file again.")


class OldEngineUsedUp(ModelLoadFailed):
    why = N_(
        "This process has opened {loads} old files; their engine does not free all their memory."
    )
    todo = N_("Start the program again, or leave out “isolated=False”.")


class DraftUnfit(ModelRefused):
    what = N_("{draft} cannot draft for {model}.")
    why = N_("{detail}")
    todo = N_("Choose a small model of the same family, or switch drafts off.")


class EmbeddingModelUnfit(ModelRefused):
    what = N_("{path} cannot search documents.")
    why = N_("{detail}")
    todo = N_("Choose an embedding model as a GGUF file: e5, MiniLM or BGE.")


class DraftMissing(ModelRefused):
    what = N_("There is no draft model for {model}.")
    why = N_("Drafts need a draft model, and none was chosen.")
    todo = N_("Choose a small model of the same family, or take drafts from the text.")


class GraphicsUnavailable(ModelRefused):
    what = N_("The graphics processor “{name}” cannot be used.")
    why = N_("{detail}")
    todo = N_("Choose another one, or switch graphics off.")


class LoadStopped(ModelRefused):
    what = N_("Loading the model was stopped.")


class TemplateUnusable(ModelRefused):
    what = N_("The chat template cannot be used.")
    why = N_("{detail}")
    todo = N_("Choose another chat template, or another file of the same model.")


class ConversationRefused(TemplateUnusable):
    what = N_("The chat template does not work for this chat.")
    todo = N_("Change the chat, or choose another chat template.")


# ---- a request is refused -------------------------------------------------------------------


class WrongUsage(R1Error):
    """An option or argument is invalid."""

    what = N_("{detail}")
    exit_code = 2


class TemplateFileUnusable(WrongUsage):
    what = N_("{path} cannot be used as a chat template.")
    why = N_("{detail}")
    todo = N_("Choose a text file with a Jinja template, for example “chat_template.jinja”.")


class PromptTooLong(R1Error):
    what = N_("The chat has {tokens} tokens and the context holds {context}.")
    why = N_("Nothing is left out without asking you, so the message was not sent to the model.")
    todo = N_("Shorten the message, start a new chat, or set a longer context.")


class TextTooLong(PromptTooLong):
    """The conversation is far too long for the context. `tokens` is the least it may have."""

    what = N_("The chat has at least {tokens} tokens and the context holds {context}.")


class ModelNotLoaded(R1Error):
    what = N_("No model is loaded.")
    todo = N_("Choose a model first.")


class PromptCacheUnavailable(R1Error):
    what = N_("Prompts cannot be saved in {path}.")
    why = N_("The system reports: {detail}.")
    todo = N_("Choose another folder, or continue without saved prompts: they are then read again.")
    exit_code = 2


class ModelOfAnotherProcess(R1Error):
    what = N_("This model belongs to the process that loaded it.")
    why = N_("This process was forked from that one; a fork has none of the engine's threads.")
    todo = N_("Load the model after the fork, or start the process by “spawn”.")


class EngineBusy(R1Error):
    what = N_("The engine is still busy with another answer.")
    todo = N_("Wait for it or stop it.")


# ---- the engine fails -----------------------------------------------------------------------


class EngineFailed(R1Error):
    """The engine met an error of its own and continues to run."""

    what = N_("The engine failed.")
    why = N_("It reports: {detail}.")
    todo = N_("Send the message again. If it fails again, reload the model.")
    exit_code = 4


class EngineDied(EngineFailed):
    what = N_("The engine stopped unexpectedly ({how}).")
    why = N_("{detail}")
    todo = N_("Your text is safe. Send it again: the engine restarts by itself.")


class EngineOutOfMemory(EngineFailed):
    what = N_("The system ended the engine ({how}).")
    why = N_("This usually happens when the computer runs out of memory.")
    todo = N_(
        "Your text is safe. Close other programs, or choose a shorter context or another model."
    )


class EngineHung(EngineFailed):
    what = N_("The engine did not respond for {seconds} seconds and was stopped.")
    why = N_("It may have been stuck, or the computer or the model's drive was very busy.")
    todo = N_("Your text is safe. Send it again: the engine restarts by itself.")


class EngineKeepsDying(EngineFailed):
    what = N_(
        "The engine stopped {count} times within {minutes} minutes and will not be restarted."
    )
    why = N_("The last time: {detail}")
    todo = N_("Use a shorter context or another model, then start the engine again.")


class EngineStartFailed(EngineFailed):
    what = N_("The engine could not be started.")
    why = N_("{detail}")
    todo = N_("Install R1 Desk again. If that does not help, report the problem with the log.")


class SystemTooTight(EngineStartFailed):
    todo = N_(
        "Close other programs, or give this one more memory, processes and open files "
        "(“ulimit -a” shows its limits). In a container, mount /proc."
    )


class ProcessorTooOld(R1Error):
    what = N_("This computer's processor is too old for R1 Desk.")
    why = N_("It lacks {missing}, which processors have had since about 2010.")
    todo = N_("Use R1 Desk on a newer computer.")


class WingMissing(R1Error):
    what = N_("This installation was made without {package}.")
    todo = N_("Install all of R1 Desk again.")
    exit_code = 2


class LegacyEngineUnavailable(EngineStartFailed):
    what = N_("The engine for old model files does not run on this computer ({machine}).")
    why = N_("It reports: {detail}.")
    todo = N_("Choose a GGUF version of the same model, which the main engine opens.")


class StreamingUnavailable(EngineStartFailed):
    what = N_("This engine cannot run a model from the disk.")
    why = N_("The engine's library differs from what is expected: {detail}.")
    todo = N_("Turn off “Run larger models from the disk”, and choose a model that fits in memory.")


class ProtocolBroken(EngineFailed):
    what = N_("The engine sent data that could not be understood and was stopped.")
    why = N_("{detail}")
    todo = N_("Your text is safe. Send it again: the engine restarts by itself.")


# ---- documents ------------------------------------------------------------------------------


class DocumentIndexFailed(R1Error):
    what = N_("The index of the documents cannot be used.")
    why = N_("SQLite reports: {detail}.")
    todo = N_("Check the free space and the permissions of {path}.")


class DocumentIndexDamaged(R1Error):
    what = N_("The index of the documents was damaged.")
    why = N_("SQLite reports: {detail}. It is deleted, and a new one is empty.")
    todo = N_("Add the documents again: your files were not touched.")
