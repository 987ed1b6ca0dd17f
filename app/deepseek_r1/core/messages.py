"""What is said in a conversation, as the engine sees it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Message(BaseModel):
    """One turn. The thinking of past answers is not sent to the model, so it is not here."""

    model_config = ConfigDict(frozen=True)

    role: Role
    content: str
