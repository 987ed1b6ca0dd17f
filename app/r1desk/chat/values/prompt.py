"""The next prompt: what the model is given of a conversation, its tokens, and what can go on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepseek_r1.core.errors import PromptTooLong, R1Error
from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.core.i18n import N_, join_list
from deepseek_r1.core.messages import Message, PartialAnswer, Role
from deepseek_r1.documents.document_prompt import whole_text
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.passages import estimated_tokens
from r1desk.store import AnswerSources, Attachment, ChatMessage

NEARLY_FULL_SHARE = 0.8
_CUT = {
    FinishReason.LENGTH,
    FinishReason.CONTEXT,
    FinishReason.CANCELLED,
    FinishReason.REPETITION,
    FinishReason.ERROR,
}


class DocumentsMissing(R1Error):
    """Documents of an imported chat, or of an index that was damaged."""

    what = N_("The text of {names} is not on this computer.")
    why = N_("The chat comes from another computer, or the document index was damaged.")
    todo = N_("Attach the file again, or remove it from the chat.")


@dataclass(frozen=True, slots=True)
class PromptSize:
    """Tokens of the next message's `text`, of the `history` before it, and of the `reserve`.

    `exact` and `history_exact`: False while the text, or the history, is only estimated. `whole`
    are the hashes of the documents that are read whole; `text` has those that the history has not.
    """

    text: int
    history: int
    reserve: int
    context: int
    exact: bool = True
    history_exact: bool = True
    whole: tuple[str, ...] = ()

    @property
    def used(self) -> int:
        return self.text + self.history

    @property
    def total(self) -> int:
        return self.used + self.reserve

    @property
    def fits(self) -> bool:
        return self.total <= self.context

    @property
    def nearly_full(self) -> bool:
        """Whether they fit, and take more than `NEARLY_FULL_SHARE` of the context."""
        return self.fits and self.total > NEARLY_FULL_SHARE * self.context


def prompt_messages(
    branch: Iterable[ChatMessage],
    system_prompt: str,
    sources: AnswerSources | None = None,
    document_text: str = "",
) -> tuple[Message, ...]:
    """Messages with their files, without their thinking, after the system prompt if any.

    Those above the place where memory begins are left out. `sources` are of the answer that is
    wanted; None: those of the last answer stay. Passages stand with that question alone: those of
    ten questions would take the context, and most of the time until the first token.
    `document_text` comes first.
    """
    shown = list(branch)
    texts = [message.content for message in shown]
    last = (len(shown) - 1, sources)
    given = enumerate(m.sources for m in shown[1:]) if sources is None else [last]
    for at, found in reversed(list(given)):
        if found is not None and found.passages():
            texts[at] = found.asked
            break
    messages = [
        Message(role=Role(m.role), content=with_attachments(text, m.attachments))
        for m, text in list(zip(shown, texts, strict=True))[memory_start(shown) :]
        if m.content or m.role == Role.USER
    ]
    if system := with_documents(document_text, system_prompt):
        messages.insert(0, Message(role=Role.SYSTEM, content=system))
    return tuple(messages)


def document_text(
    index: DocumentIndex, sources: AnswerSources | None, *, strict: bool = False
) -> str:
    """The part of the prompt before all others. Any thread but the main one.

    `strict`: for an answer, whose citations count all documents; raises DocumentsMissing.
    Raises DocumentIndexFailed, DocumentIndexDamaged.
    """
    if sources is None or not sources.documents:
        return sources.outline if sources is not None else ""
    if strict:
        names = {each.passage.sha256: each.passage.name for each in sources.sent}
        require_documents(index, {each: names.get(each, "?") for each in sources.documents})
    return whole_text(index, sources.documents, sources.asked, sources.outline)


def require_documents(index: DocumentIndex, names: Mapping[str, str]) -> None:
    """Raise DocumentsMissing unless the texts of all of these hashes are there."""
    missing = [name for each, name in names.items() if index.document(each) is None]
    if missing:
        raise DocumentsMissing(names=join_list(missing))


def with_documents(document_text: str, system_prompt: str) -> str:
    """The system prompt with the documents before it: each chat with them begins alike."""
    return "\n\n".join(part for part in (document_text, system_prompt) if part.strip())


def memory_start(branch: Sequence[ChatMessage]) -> int:
    """The index of the first message that the model reads.

    It is the last marked message; for a marked answer its question, because a conversation that
    begins with an answer is refused by many templates.
    """
    marked = max((i for i, message in enumerate(branch) if message.memory_start), default=0)
    return marked - 1 if marked and branch[marked].is_answer else marked


def with_attachments(text: str, attachments: Iterable[Attachment]) -> str:
    """A message as the model reads it: the files that are no documents, by name, then the text.

    The form is the one DeepSeek gives for files in the README of DeepSeek-R1, section
    "Official Prompts": the model was tried with it.
    """
    files = (
        f"[file name]: {each.name}\n[file content begin]\n"
        f"{each.content.removesuffix(chr(10))}\n[file content end]\n"
        for each in attachments
        if not each.sha256
    )
    return "".join(files) + text


def tokens_of(attachment: Attachment) -> int:
    """The tokens of a file: counted, else estimated."""
    return attachment.tokens or estimated_tokens(attachment.content)


def conversation_tokens(branch: Sequence[ChatMessage]) -> int:
    """The tokens of a branch in the next prompt; thinking is not read again."""
    for message in reversed(branch):
        if stats := message.stats:
            return stats.prompt_tokens + stats.completion_tokens - stats.thinking_tokens
    files = (each for message in branch for each in message.attachments if not each.sha256)
    given = [message.sources for message in branch if message.sources is not None]
    # Whole documents stand once, at the beginning, and passages with the last question alone.
    documents = given[-1].tokens if given else 0
    return sum(estimated_tokens(m.content) for m in branch) + sum(map(tokens_of, files)) + documents


# ---- questions about a message


def fills_context(message: ChatMessage) -> bool:
    """True for an answer that was refused or cut because the context is full."""
    if not message.is_answer:
        return False
    if message.state == "failed":
        return message.error is not None and isinstance(message.error.error, PromptTooLong)
    return message.stats is not None and message.stats.finish_reason is FinishReason.CONTEXT


def discardable(message: ChatMessage) -> bool:
    """True for an ended answer without any text: it is replaced, not kept as a version."""
    ended = message.state in {"failed", "stopped"}
    return message.is_answer and ended and not message.content and not message.thinking


def can_go_on(message: ChatMessage) -> bool:
    """Whether an answer ended early; not one that is complete, empty or changed."""
    if not message.is_answer or message.edited or not (message.content or message.thinking):
        return False
    if message.state != "complete":
        return message.state in {"stopped", "failed"}
    was_cut = message.stats is not None and message.stats.finish_reason in _CUT
    return was_cut or not message.content.strip()  # it thought, and wrote nothing


def ended_inside_thinking(message: ChatMessage) -> bool:
    """Whether an ended answer has a thought that was not closed."""
    if message.stats is not None and message.stats.thinking_end is not None:
        return False
    return bool(message.thinking) and not message.content


def partial_answer(message: ChatMessage) -> PartialAnswer | None:
    """The beginning of an answer as the engine takes it; None while it is empty."""
    if not (message.content or message.thinking):
        return None
    inside = ended_inside_thinking(message)
    return PartialAnswer(thinking=message.thinking, text=message.content, inside_thinking=inside)


def merged_stats(
    before: GenerationStats | None, after: GenerationStats | None
) -> GenerationStats | None:
    """The numbers of an answer and of its continuation as those of one answer."""
    if before is None or after is None:
        return after
    summed = ("completion_tokens", "thinking_tokens", "decode_s", "prefill_s", "thinking_s")
    update: dict[str, object] = {key: getattr(before, key) + getattr(after, key) for key in summed}
    update["prompt_tokens"], update["cached_tokens"] = before.prompt_tokens, before.cached_tokens
    update["ttft_s"] = before.ttft_s
    update["thinking_end"] = after.thinking_end or before.thinking_end
    return after.model_copy(update=update)
