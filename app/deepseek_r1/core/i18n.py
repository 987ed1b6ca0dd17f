"""The translation of texts that people read.

Texts are written in English where they are used and looked up in gettext catalogues under
`resources/translations`. `N_` marks a text that is translated later, `tr` translates it now, and
`trn` translates one whose form depends on a number.
"""

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


def Nn_(one: str, many: str) -> tuple[str, str]:  # noqa: N802
    """Mark two forms of a text, for one and for many, and return them unchanged."""
    return one, many


def tr(text: str, **facts: object) -> str:
    """Return `text` in the current language, with `{name}` fields filled from `facts`."""
    translated = _catalogue.gettext(text) if text else ""
    return translated.format(**facts) if facts else translated


def trn(one: str, many: str, n: int, **facts: object) -> str:
    """Return the form for `n` in the current language, with the field `{n}` and those of `facts`.

    `one` and `many` are the English forms for 1 and for other numbers.
    """
    return _catalogue.ngettext(one, many, n).format(n=n, **facts)


def join_sentences(parts: Iterable[str]) -> str:
    """Join sentences with a space between them; Chinese ones without."""
    return ("" if _language.startswith("zh") else " ").join(part for part in parts if part)


def join_list(parts: Iterable[str]) -> str:
    """Enumerate `parts`, with the comma of the language: Chinese has one for lists."""
    return ("、" if _language.startswith("zh") else ", ").join(part for part in parts if part)


def use_language(code: str | None) -> str:
    """Switch to a language of `LANGUAGES`, or the system's for None. Returns its code."""
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
    """Return the code of the language that `tr` translates into."""
    return _language


def system_language() -> str:
    """Return the key of `LANGUAGES` that the system uses: Chinese, or else English."""
    names = [os.environ.get(key, "") for key in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")]
    name = next((name for name in names if name), None) or locale.getlocale()[0] or ""
    return "zh_CN" if name.lower().startswith(("zh", "chinese")) else "en"
