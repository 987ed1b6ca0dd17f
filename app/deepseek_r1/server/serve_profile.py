"""Sets of options for a purpose."""

from __future__ import annotations

from enum import StrEnum

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode
from deepseek_r1.server.serve_options import ServeOptions

EDGE_CONTEXT = 1024  # tokens, where the user gave no number


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
