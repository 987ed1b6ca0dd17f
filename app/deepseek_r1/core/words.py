"""The words people read, in their language.

Texts are written in English where they are used and looked up in gettext catalogues under
`resources/translations`. `N_` marks a text that is translated later, `tr` translates now.
"""

from __future__ import annotations

import gettext
import locale
import os
from collections.abc import Iterable

from deepseek_r1.core.paths import resources_dir

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}
DOMAIN = "r1desk"

_catalogue: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark `text` for translation and return it unchanged."""
    return text


def tr(text: str, **facts: object) -> str:
    """`text` in the current language, with `{name}` places filled from `facts`."""
    translated = _catalogue.gettext(text) if text else ""
    return translated.format(**facts) if facts else translated


def sentences(parts: Iterable[str]) -> str:
    """Sentences one after the other; Chinese ones stand without a space between them."""
    return ("" if _language.startswith("zh") else " ").join(part for part in parts if part)


def use_language(code: str | None) -> str:
    """Switch to a language of `LANGUAGES`; None follows the system. Returns the one in force."""
    global _catalogue, _language  # noqa: PLW0603 - one language per process
    chosen = code if code in LANGUAGES else system_language()
    if chosen == "en":
        _catalogue = gettext.NullTranslations()
    else:
        folder = resources_dir() / "translations"
        _catalogue = gettext.translation(DOMAIN, folder, languages=[chosen])
    _language = chosen
    return chosen


def current_language() -> str:
    """The code of the language `tr` answers in."""
    return _language


def system_language() -> str:
    """Chinese for a system that speaks it, else English: a key of `LANGUAGES`."""
    names = [os.environ.get(key, "") for key in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")]
    spoken = next((name for name in names if name), None) or locale.getlocale()[0] or ""
    return "zh_CN" if spoken.lower().startswith(("zh", "chinese")) else "en"
