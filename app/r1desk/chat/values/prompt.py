"""The next prompt: the messages that the model is given of a conversation, and their tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.passages import estimated_tokens
from r1desk.store import AnswerSources, Attachment, ChatMessage

NEARLY_FULL_SHARE = 0.8


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
        """Text and history."""
        return self.text + self.history

    @property
    def total(self) -> int:
        """All three."""
        return self.used + self.reserve

    @property
    def fits(self) -> bool:
        """Whether all three fit into the context."""
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
