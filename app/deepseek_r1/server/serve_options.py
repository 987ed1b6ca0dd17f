"""The options of the server, which the command line fills in."""

import ipaddress
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel

from deepseek_r1.core.errors import ModelRefused, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.protocol import PromptCacheFolder
from deepseek_r1.memory.cost_model import layers_of

DEFAULT_PORT = 8080
EDGE_CONTEXT = 1024  # tokens, where the user gave no number
LEAST_KEY_CHARACTERS = 16
SEQUENCE_BYTES = 16  # per token of the vocabulary: a logit, and a candidate (id, logit, p)
_MIB = 1 << 20


class ServeOptions(BaseModel, frozen=True):
    """Where and what the server serves, and its limits. Times are seconds."""

    model: Path
    settings: LoadSettings
    served_name: str
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    api_key: str = ""  # empty: no key is needed
    parallel: int = 4  # answers computed together
    max_queue: int = 64  # requests that wait
    max_body_bytes: int = 4 << 20
    max_file_bytes: int = 32 << 20  # of an uploaded document; 0: none is taken
    max_tokens: int = 4096  # of one answer
    request_s: float = 3600.0  # from the request to the end of its answer
    ping_s: float = 15.0  # between comments to a client that waits
    drain_s: float = 60.0  # for running answers at SIGTERM
    keeps_files: bool = True  # that are uploaded; the next request may come to another instance
    trusted_proxies: tuple[str, ...] = ()  # addresses that say whose request they pass on
    allowed_origins: tuple[str, ...] = ()  # of web pages
    prompt_cache: PromptCacheFolder | None = None
    system_prompt: str = ""  # of conversations that have none; its cells are kept filled
    lock_memory: bool = False

    def sequences_mib(self) -> float:
        """Return the MiB of all sequences but the first: logits, candidates, recurrent state."""
        try:
            header = read_header(self.model)
        except ModelRefused:  # loading it reports the error
            return 0.0
        each = header.vocabulary * SEQUENCE_BYTES + layers_of(header).state_bytes
        return (self.parallel - 1) * each / _MIB

    def check(self) -> None:
        """Raise WrongUsage for a missing or short key, and for options that exclude each other."""
        if not self.api_key and not is_loopback(self.host):
            raise WrongUsage(
                detail=tr(
                    "{host} can be reached from other computers, so a key is required: set "
                    "DEEPSEEK_R1_API_KEY or use --api-key-file.",
                    host=self.host,
                )
            )
        if self.parallel > 1 and self.prompt_cache is not None:
            raise WrongUsage(
                detail=tr(
                    "--prompt-cache needs --parallel 1: answers computed together do not use it."
                )
            )
        if self.parallel > 1 and self.system_prompt:
            raise WrongUsage(detail=tr("--system-prompt-file needs --parallel 1."))
        if self.api_key and len(self.api_key) < LEAST_KEY_CHARACTERS:
            raise WrongUsage(
                detail=tr("The key needs at least {n} characters.", n=LEAST_KEY_CHARACTERS)
            )


def is_loopback(host: str) -> bool:
    """Return whether an address or name is this computer's own."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class ServeProfile(StrEnum):
    """The purposes that have a set of options."""

    STANDARD = "standard"
    EDGE = "edge"  # the first token comes at once, for one request at a time


def with_profile(options: ServeOptions, profile: ServeProfile) -> ServeOptions:
    """Return the options with those of the profile. Raises WrongUsage where they contradict.

    `edge`: a small context, no drafts, the model's memory pinned, one answer at a time. Its system
    prompt stays in the KV cache.
    """
    if profile is ServeProfile.STANDARD:
        return options
    if options.settings.swap_enabled:
        raise WrongUsage(
            detail=tr("The profile edge keeps the whole model in memory: drop --swap-enabled.")
        )
    changes = {
        "context_length": options.settings.context_length or EDGE_CONTEXT,
        "drafts": DraftMode.OFF,
        "draft_model": "",
    }
    settings = options.settings.model_copy(update=changes)
    return options.model_copy(update={"settings": settings, "parallel": 1, "lock_memory": True})
