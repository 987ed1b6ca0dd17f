"""Draft models: their size and checksum are asked of the hub before they are downloaded."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1.catalogue.download_spec import (
    DownloadSpec,
    RetryPolicy,
    draft_hosts,
    find_known,
    spec_for_draft,
    spec_for_known,
)
from deepseek_r1.catalogue.errors import (
    ChecksumUnknown,
    ChecksumWrong,
    RepositoryNotListed,
    RepositoryWithoutModel,
)
from deepseek_r1.catalogue.hub_reference import HF_MIRROR, HUGGING_FACE, HubHost
from deepseek_r1.catalogue.known_models import KnownDraft, find_draft
from deepseek_r1.catalogue.partial_file import unfinished
from deepseek_r1.catalogue.pull import pull
from deepseek_r1.core.i18n import use_language
from support.hostile_server import HostileServer, hub_server, tree_of


@pytest.fixture
def draft() -> KnownDraft:
    found = find_draft("deepseek-r1-draft-qwen2.5-0.5b")
    assert found is not None
    return found


def spec_at(server: HostileServer, draft: KnownDraft) -> DownloadSpec:
    return spec_for_draft(draft, HubHost("here", server.url))


def test_a_draft_model_is_verified_by_the_checksum_that_the_hub_states(
    draft: KnownDraft, content: bytes, tmp_path: Path, quick: RetryPolicy
) -> None:
    with hub_server({draft.file: content}, repository=draft.repository).running() as server:
        spec = spec_at(server, draft)
        pulled = pull([spec], tmp_path, policy=quick)
    again = pull([spec], tmp_path, policy=quick)  # the hub is not needed
    assert pulled.path.read_bytes() == content
    assert (pulled.verified, pulled.sha256) == (True, (hashlib.sha256(content).hexdigest(),))
    assert (again.path, again.new) == (pulled.path, False)


def test_another_file_than_the_hub_states_is_deleted(draft, content, tmp_path, quick):
    listing = json.dumps(tree_of({draft.file: content})).encode()
    other = content[:-1] + b"!"
    server = hub_server({draft.file: other}, listing, draft.repository)
    with server.running(), pytest.raises(ChecksumWrong):
        pull([spec_at(server, draft)], tmp_path, policy=quick)
    assert not list(tmp_path.glob("*.gguf"))
    assert not unfinished(tmp_path)


@pytest.mark.parametrize(("listing", "error"), [
    ([{"type": "file", "path": "Another-Q4_K_M.gguf", "size": 9}], RepositoryWithoutModel),
    ([], RepositoryWithoutModel), ({}, RepositoryNotListed), (None, ChecksumUnknown),
])  # fmt: skip
def test_without_a_size_and_a_checksum_nothing_is_downloaded(
    draft, content, tmp_path, quick, listing, error
):
    if listing is None:
        listing = [{"type": "file", "path": draft.file, "size": len(content)}]
    server = hub_server({draft.file: content}, json.dumps(listing).encode(), draft.repository)
    with server.running(), pytest.raises(error):
        pull([spec_at(server, draft)], tmp_path, policy=quick)
    assert not [each for each in server.requests if "resolve" in each.path]


def test_a_file_of_the_catalogue_is_found_by_its_type_where_it_was_renamed(
    content: bytes, tmp_path: Path, quick: RetryPolicy
) -> None:
    model, file = find_known("gpt-oss-20b")
    renamed = file.file.replace("MXFP4", "mxfp4")
    with hub_server({renamed: content}, repository=model.repository).running() as server:
        here = HubHost("here", server.url)
        asked = spec_for_known(model, file)
        assert asked.listed_in is not None
        reference = replace(asked.listed_in, host=here)
        pulled = pull([replace(asked, listed_in=reference)], tmp_path, policy=quick)
    assert (pulled.path.name, pulled.verified) == (file.file, True)
    assert pulled.path.read_bytes() == content


def test_a_file_of_the_catalogue_that_is_in_parts_by_now_is_refused(content, tmp_path, quick):
    model, file = find_known("gpt-oss-20b")
    stem = file.file.removesuffix(".gguf")
    parts = {f"{stem}-0000{number}-of-00002.gguf": content for number in (1, 2)}
    with hub_server(parts, repository=model.repository).running() as server:
        asked = spec_for_known(model, file)
        assert asked.listed_in is not None
        reference = replace(asked.listed_in, host=HubHost("here", server.url))
        with pytest.raises(RepositoryWithoutModel, match="00001-of-00002"):
            pull([replace(asked, listed_in=reference)], tmp_path, policy=quick)


def test_the_first_host_is_one_that_the_language_s_readers_can_reach() -> None:
    assert draft_hosts() == (HUGGING_FACE, HF_MIRROR)
    use_language("zh_CN")
    try:
        assert draft_hosts() == (HF_MIRROR, HUGGING_FACE)
    finally:
        use_language("en")
