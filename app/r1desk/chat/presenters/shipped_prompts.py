"""The prompts that the library begins with; they can be changed and deleted as any other."""

from __future__ import annotations

from deepseek_r1.core.i18n import N_, tr
from r1desk.store.prompt_store import SavedPrompt

_PROMPTS = {
    N_("Summarise"): N_("Summarise this in five short points:\n\n{{text}}"),
    N_("Explain simply"): N_("Explain {{topic}} in simple words, with an example from daily life."),
    N_("Correct my text"): N_(
        "Correct spelling and grammar. Keep my style, and list what you changed:\n\n{{text}}"
    ),
    N_("Translate"): N_("Translate into {{language}}. Write the translation only:\n\n{{text}}"),
    N_("Write an e-mail"): N_(
        "Write a short, friendly e-mail to {{person}}. It should say: {{message}}"
    ),
    N_("Explain this code"): N_(
        "Explain step by step what this code does, and point out mistakes:\n\n{{code}}"
    ),
    N_("Solve step by step"): N_("Solve this step by step and check the result:\n\n{{problem}}"),
    N_("For and against"): N_(
        "List the strongest arguments for and against {{question}}, then say what it depends on."
    ),
}


def shipped_prompts() -> tuple[SavedPrompt, ...]:
    """These prompts, in the current language."""
    return tuple(SavedPrompt(name=tr(name), content=tr(text)) for name, text in _PROMPTS.items())
