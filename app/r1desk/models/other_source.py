"""Finds another host for a file of the catalogue whose download failed."""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.catalogue.download_spec import (
    DownloadSpec,
    draft_hosts,
    spec_for_draft,
    spec_for_known,
)
from deepseek_r1.catalogue.hub_reference import HubHost
from deepseek_r1.catalogue.known_models import KnownDraft, catalogue, find_draft


@dataclass(frozen=True, slots=True)
class OtherSource:
    """A host and the download of the same file from there."""

    host: str
    spec: DownloadSpec


def other_source(spec: DownloadSpec) -> OtherSource | None:
    """The host after the one of `spec` in the catalogue's order; None for an unknown file."""
    if (draft := find_draft(spec.file)) is not None and spec.listed_in is not None:
        return _other_hub(draft, spec.listed_in.host)
    for model in catalogue().models:
        for file in model.files:
            if (file.file, file.sha256) != (spec.file, spec.sha256):
                continue
            sources = catalogue().sources(model, file)
            urls = [str(source.url) for source in sources]
            if len(sources) < 2 or spec.url not in urls:
                return None
            host = sources[(urls.index(spec.url) + 1) % len(sources)].host
            again = spec_for_known(model, file, host, accept_unverified=spec.accept_unverified)
            return OtherSource(host, again)
    return None


def _other_hub(draft: KnownDraft, host: HubHost) -> OtherSource | None:
    others = [each for each in draft_hosts() if each != host]
    return OtherSource(others[0].name, spec_for_draft(draft, others[0])) if others else None
