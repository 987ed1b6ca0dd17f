"""Understands what people type for a model on a hub: a name, or the address of a page or a file."""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlsplit

from deepseek_r1.catalogue.errors import ReferenceUnusable
from deepseek_r1.core.i18n import current_language

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}"
_REPOSITORY = re.compile(rf"({_NAME}/{_NAME})(?::([A-Za-z0-9][\w.-]{{0,40}}))?")
_REVISION = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
_LOOPBACK = "127.0.0.1"
_PAGES = {"tree", "blob", "resolve", "raw"}


@dataclass(frozen=True, slots=True)
class HubHost:
    """A site with repositories of models. `origin` is its scheme, host and port."""

    name: str
    origin: str
    modelscope: bool = False

    @property
    def branch(self) -> str:
        """The revision that a repository has where none is named."""
        return "master" if self.modelscope else "main"

    def file_url(self, repository: str, revision: str, path: str) -> str:
        """The address of a file."""
        folder = "models/" if self.modelscope else ""
        return f"{self.origin}/{folder}{repository}/resolve/{revision}/{quote(path)}"


HUGGING_FACE = HubHost("Hugging Face", "https://huggingface.co")
HF_MIRROR = HubHost("hf-mirror", "https://hf-mirror.com")
MODELSCOPE = HubHost("ModelScope", "https://modelscope.cn", modelscope=True)
HUB_HOSTS = (HUGGING_FACE, HF_MIRROR, MODELSCOPE)
_BY_DOMAIN = {
    "huggingface.co": HUGGING_FACE,
    "www.huggingface.co": HUGGING_FACE,
    "hf.co": HUGGING_FACE,
    "hf-mirror.com": HF_MIRROR,
    "modelscope.cn": MODELSCOPE,
    "www.modelscope.cn": MODELSCOPE,
}


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository; `quantisation` or `file` (a path in it) where only one model is meant."""

    host: HubHost
    repository: str
    revision: str
    quantisation: str = ""
    file: str = ""


def hosts_in_order() -> tuple[HubHost, ...]:
    """The hosts, the one to try first at the beginning: in Chinese one that China can reach."""
    return HUB_HOSTS[::-1] if current_language().startswith("zh") else HUB_HOSTS


def parse_reference(
    text: str, host: HubHost | None = None, *, loopback: bool = False
) -> HubReference | str:
    """The meaning of `text`, a str for a file's address elsewhere; `host` is for names without one.

    `loopback`: this computer counts as a hub as well, for test servers. Raises ReferenceUnusable.
    """
    text = text.strip()
    bare = re.sub(r"^(?:hf\.co|huggingface\.co)/", "", text)
    named = _REPOSITORY.fullmatch(bare)
    if named is not None and ".." not in bare:
        chosen = HUGGING_FACE if bare != text else host or hosts_in_order()[0]
        return HubReference(chosen, named[1], chosen.branch, named[2] or "")
    return _parse_address(text, loopback=loopback)


def _parse_address(text: str, *, loopback: bool) -> HubReference | str:
    try:
        parts = urlsplit(text)
        domain, port, user = parts.hostname or "", parts.port, parts.username
    except ValueError as error:  # an invalid port or address
        raise ReferenceUnusable(text=_shown(text)) from error
    local = loopback and parts.scheme == "http" and domain == _LOOPBACK
    if (parts.scheme != "https" and not local) or user is not None or not text.isprintable():
        raise ReferenceUnusable(text=_shown(text))
    known = _BY_DOMAIN.get(domain) if port is None else None
    if local:
        known = HubHost(_LOOPBACK, f"http://{parts.netloc}")
    reference = _repository_of(known, unquote(parts.path)) if known is not None else None
    if reference is not None:
        return reference
    if parts.path.lower().endswith(".gguf"):
        return text
    raise ReferenceUnusable(text=_shown(text))


def _repository_of(host: HubHost, path: str) -> HubReference | None:
    pieces = [piece for piece in path.split("/") if piece]
    if host.modelscope:
        pieces = pieces[1:] if pieces[:1] == ["models"] else []
    if len(pieces) < 2:
        return None
    named = _REPOSITORY.fullmatch("/".join(pieces[:2]))
    if named is None or ".." in named[1]:
        return None
    reference = HubReference(host, named[1], host.branch, named[2] or "")
    if len(pieces) >= 4 and pieces[2] in _PAGES and _REVISION.fullmatch(pieces[3]):
        file = "/".join(pieces[4:])
        is_file = file.lower().endswith(".gguf") and ".." not in pieces
        return replace(reference, revision=pieces[3], file=file if is_file else "")
    return None if path.lower().endswith(".gguf") else reference


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:120])
