"""The bodies of requests, and their translation to prompts and sampling settings.

Unknown fields are ignored. Fields that a client relies on and this server cannot honour are refused
by name.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.messages import Message, RawPrompt, Role, message_from
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.output.schema import schema_json
from deepseek_r1.server.api_responses import ApiError, api_error, not_supported

# OpenAI's efforts as budgets of thinking tokens; the others are not limited.
EFFORTS = {"none": 0, "minimal": 128, "low": 512, "medium": 2048}
MOST_ANSWERS = 16  # of one request
MAX_TOP_LOGPROBS = int(SamplingSettings.bounds("top_logprobs")[1])
_ANY_OBJECT = '{"type": "object"}'


class StreamOptions(BaseModel):
    """The options of a stream."""

    include_usage: bool = False


class SamplingFields(BaseModel, extra="allow"):
    """The fields that chat and completion share. None is the model's default.

    A field that is not declared here and has the name of a sampling setting is that setting.
    """

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None  # vLLM's name for `repeat_penalty`
    seed: int | None = None
    n: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] | None = None

    def several(self, sampling: SamplingSettings) -> list[SamplingSettings]:
        """Return the settings of each of the `n` answers to one prompt."""
        if sampling.seed < 0:
            return [sampling] * (self.n or 1)
        seeds = [(sampling.seed + number) % (2**32 - 1) for number in range(self.n or 1)]
        return [sampling.model_copy(update={"seed": seed}) for seed in seeds]

    def sampling(self, most_tokens: int, **more: Any) -> SamplingSettings:
        """Return the settings, with `more` of them, of an answer of at most `most_tokens`.

        Raises ApiError with the name of a wrong field.
        """
        others = self.model_extra or {}
        given = {key: others[key] for key in SamplingSettings.model_fields if key in others} | more
        if self.repetition_penalty is not None:
            given["repeat_penalty"] = self.repetition_penalty
        if self.seed is not None:
            # 2**32 - 1 is left out: it means "random" to llama.cpp.
            given["seed"] = self.seed % 2**32 % (2**32 - 1)
        given["top_k"] = 0 if self.top_k == -1 else self.top_k  # -1 is vLLM's "all"
        wanted = given.get("max_tokens")
        given["max_tokens"] = most_tokens if wanted is None else min(wanted, most_tokens)
        given = {key: value for key, value in given.items() if value is not None}
        try:
            return SamplingSettings.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else None
            raise ApiError(
                400, f"{name}: {first['msg']}", param=name, code="invalid_value"
            ) from error


class JsonSchemaFormat(BaseModel):
    """A named JSON schema."""

    name: str = ""
    json_schema: Annotated[dict[str, Any], Field(alias="schema")] = {}


class ResponseFormat(BaseModel):
    """The required form of the answer: a text, JSON, or JSON of a schema."""

    type: str
    json_schema: JsonSchemaFormat | None = None


class ChatRequest(SamplingFields):
    """The body of `/v1/chat/completions`."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    audio: Any = None
    modalities: list[str] | None = None

    def prompt(self) -> tuple[Message, ...]:
        """Return the conversation without an empty answer at its end. Raises ApiError."""
        try:
            messages = [message_from(each) for each in self.messages]
        except WrongUsage as error:
            raise api_error(error, "messages") from error
        if messages[-1].role is Role.ASSISTANT and not messages[-1].content.strip():
            messages.pop()
        if not messages:
            raise ApiError(400, "There is no message to answer.", param="messages")
        return tuple(messages)

    @property
    def warning(self) -> str:
        """A sentence about what is not done; empty where everything is."""
        offered = self.tools and self.tool_choice != "none"
        return "`tools` were ignored: this server's models call no tools." if offered else ""

    def refuse_unsupported(self) -> None:
        if self.tools and self.tool_choice not in (None, "auto", "none"):
            raise not_supported("tool_choice", "the model calls no tools")
        if self.functions:
            raise not_supported("functions")
        if self.audio or set(self.modalities or ()) - {"text"}:
            raise not_supported("modalities", "text alone")

    def chat_sampling(self, most_tokens: int) -> SamplingSettings:
        """Return the settings of the answer. Raises ApiError."""
        wanted = self.max_completion_tokens
        return self.sampling(
            most_tokens,
            max_tokens=self.max_tokens if wanted is None else wanted,
            logprobs=bool(self.logprobs),
            top_logprobs=self.top_logprobs if self.logprobs else None,
            thinking_budget=self._thinking_budget(),
        )

    def _thinking_budget(self) -> int | None:
        if self.thinking_budget is not None:
            return None if self.thinking_budget < 0 else self.thinking_budget
        return EFFORTS.get(self.reasoning_effort or "")

    def answer_schema(self) -> str:
        """Return the JSON schema of the answer as JSON; empty without one. Raises ApiError."""
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return ""
        if wanted.type == "json_object":
            return _ANY_OBJECT
        if wanted.type != "json_schema" or wanted.json_schema is None:
            raise not_supported("response_format", f"the type {wanted.type}")
        try:
            return schema_json(wanted.json_schema.json_schema)
        except WrongUsage as error:
            raise api_error(error, "response_format") from error


TokenIds = list[Annotated[int, Field(ge=0, le=2**31 - 1)]]
Prompts = str | TokenIds | list[str] | list[TokenIds]


class CompletionRequest(SamplingFields):
    """The body of `/v1/completions`: prompts that are continued without the chat template."""

    prompt: Prompts = ""
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    thinking_budget: Any = None  # ignored: a raw prompt has no thinking of its own
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    def prompts(self) -> list[RawPrompt]:
        """Return the prompts. Raises ApiError for fields that cannot be honoured."""
        if self.echo and self.logprobs is not None:
            raise not_supported("echo", "together with logprobs")
        if self.best_of not in (None, self.n or 1):
            raise not_supported("best_of", "all answers are returned")
        return _raw_prompts(self.prompt, self.suffix)

    def completion_sampling(self, most_tokens: int) -> SamplingSettings:
        """Return the settings of the answers: by default 16 tokens, as with OpenAI."""
        return self.sampling(
            most_tokens,
            max_tokens=16 if self.max_tokens is None else self.max_tokens,
            logprobs=self.logprobs is not None,
            top_logprobs=self.logprobs,
        )


def _raw_prompts(given: Prompts, suffix: str | None = None) -> list[RawPrompt]:
    is_one = isinstance(given, str) or not given or isinstance(given[0], int)
    several: list[Any] = [given] if is_one else list(given)
    return [
        RawPrompt(text=each, suffix=suffix)
        if isinstance(each, str)
        else RawPrompt(tokens=tuple(each), suffix=suffix)
        for each in several
    ]


class EmbeddingsRequest(BaseModel):
    """The body of `/v1/embeddings`."""

    model: str | None = None
    input: Prompts  # tokens are the model's own
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None

    def inputs(self) -> list[RawPrompt]:
        """Return each text, or its tokens. Raises ApiError."""
        if self.input in ("", [], [[]]):
            raise ApiError(400, "`input` is empty.", param="input")
        return _raw_prompts(self.input)


class TokenizeBody(BaseModel):
    """The body of `/tokenize`: a text, under vLLM's name or llama-server's."""

    model: str | None = None
    prompt: str | None = None
    content: str | None = None
    parse_special: bool = False

    def text(self) -> str:
        """Return the text. Raises ApiError."""
        text = self.content if self.prompt is None else self.prompt
        if text is None:
            raise ApiError(400, "`prompt` is required.", param="prompt")
        return text


class DetokenizeBody(BaseModel):
    """The body of `/detokenize`."""

    model: str | None = None
    tokens: TokenIds
