"""Repositories of a hub: what can be typed, what is listed, and what a hostile list can do."""

import json
from pathlib import Path

import pytest

from deepseek_r1.catalogue.download_spec import HubListing, quantisation_of
from deepseek_r1.catalogue.errors import (
    ReferenceUnusable,
    RepositoryNotListed,
    RepositoryWithoutModel,
)
from deepseek_r1.catalogue.hub_listing import MOST_LIST_BYTES, list_repository
from deepseek_r1.catalogue.hub_reference import (
    HF_MIRROR,
    HUGGING_FACE,
    MODELSCOPE,
    HubReference,
    parse_reference,
)
from deepseek_r1.catalogue.model_file import listed_files
from deepseek_r1.catalogue.outline import read_outline
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import tiny_qwen2
from support.hostile_server import (
    QUICK,
    REPOSITORY,
    HostileServer,
    Reply,
    Request,
    hub_server,
    page,
    tree_of,
)


def list_page(server: HostileServer, suffix: str = "") -> HubListing:
    reference = parse_reference(page(server) + suffix, loopback=True)
    assert isinstance(reference, HubReference)
    return list_repository(reference, QUICK)


# ---- what can be typed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "revision", "quantisation", "file"),
    [
        ("unsloth/Some-GGUF", HUGGING_FACE, "main", "", ""),
        ("  unsloth/Some-GGUF:Q4_K_M ", HUGGING_FACE, "main", "Q4_K_M", ""),
        ("hf.co/unsloth/Some-GGUF:IQ2_XS", HUGGING_FACE, "main", "IQ2_XS", ""),
        ("https://huggingface.co/unsloth/Some-GGUF", HUGGING_FACE, "main", "", ""),
        ("https://huggingface.co/unsloth/Some-GGUF/tree/v1.0", HUGGING_FACE, "v1.0", "", ""),
        (
            "https://huggingface.co/unsloth/Some-GGUF/blob/main/sub/a-Q8_0.gguf",
            HUGGING_FACE,
            "main",
            "",
            "sub/a-Q8_0.gguf",
        ),
        ("https://hf-mirror.com/unsloth/Some-GGUF/", HF_MIRROR, "main", "", ""),
        ("https://www.modelscope.cn/models/unsloth/Some-GGUF", MODELSCOPE, "master", "", ""),
        ("https://modelscope.cn/models/unsloth/Some-GGUF/files", MODELSCOPE, "master", "", ""),
    ],
)
def test_names_and_page_addresses_are_understood(text, host, revision, quantisation, file):
    found = parse_reference(text)
    assert isinstance(found, HubReference)
    assert found == HubReference(host, "unsloth/Some-GGUF", revision, quantisation, file)


def test_a_name_is_looked_up_at_the_chosen_host() -> None:
    found = parse_reference("a/b", MODELSCOPE)
    assert isinstance(found, HubReference)
    assert (found.host, found.revision) == (MODELSCOPE, "master")


def test_the_address_of_a_file_elsewhere_stays_an_address() -> None:
    address = "https://example.com/x/m.gguf"
    assert parse_reference(address) == address


@pytest.mark.parametrize("text", [
    "", "model", "../../etc", "a/../b", "a/b/c", "a/b:", "http://huggingface.co/a/b",
    "https://user@huggingface.co/a/b", "https://huggingface.co:99999/a/b",
    "https://huggingface.co.evil.test/a/b", "https://2130706433/a/b", "https://[::1]/a/b",
    "http://127.0.0.1:1/a/b", "ftp://huggingface.co/a/b", "file:///etc/passwd.gguf",
    "https://huggingface.co/a", "a/b\nHost: c"
])  # fmt: skip
def test_everything_else_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ReferenceUnusable):
        parse_reference(text)


# ---- the list -----------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return tiny_qwen2(tmp_path / "tiny.gguf").read_bytes()


def test_the_gguf_files_are_listed_with_type_size_and_checksum(model: bytes) -> None:
    files = {
        "m-Q8_0.gguf": model + bytes(64),
        "m-Q4_K_M.gguf": model,
        "mmproj-m-F16.gguf": model,
        "BF16/m-BF16-00001-of-00002.gguf": model,
        "BF16/m-BF16-00002-of-00002.gguf": model + bytes(9999),
        "cut-00001-of-00003.gguf": model,
    }
    with hub_server(files).running() as server:
        found = list_page(server)
        spec = found.specs(found.choose())[0]
        assert spec.url == f"{server.url}/{REPOSITORY}/resolve/main/m-Q4_K_M.gguf"
    listed = listed_files(found)
    assert [(m.quantisation, len(m.specs)) for m in listed] == [
        ("Q4_K_M", 1),
        ("Q8_0", 1),
        ("BF16", 2),
    ]
    assert all(m.verifiable for m in listed)
    assert (spec.size_bytes, spec.size_exact) == (len(model), True)
    assert len(server.requests) == 2, "one for the list, one for the beginning of a file"


def test_the_bill_of_a_listed_file_is_known_before_its_download(model, tmp_path):
    with hub_server({"m-Q4_0.gguf": model}).running() as server:
        found = list_page(server)
    header = read_header(tmp_path / "tiny.gguf")
    outlined = found.outline.header("m-Q4_0.gguf", len(model), "Q4_0")
    assert (outlined.blocks, outlined.embedding) == (header.blocks, header.embedding)
    assert (outlined.vocabulary, outlined.heads_kv) == (header.vocabulary, header.heads_kv)
    assert outlined.context_trained == header.context_trained
    assert abs(outlined.parameters - header.parameters) < header.parameters * 0.5


def test_an_outline_needs_only_the_beginning_of_a_real_file(starter: Path) -> None:
    outline = read_outline(starter.read_bytes()[: 64 << 10], starter.name)
    header = read_header(starter)
    assert outline.vocabulary == header.vocabulary
    assert outline.shape.blocks == header.blocks
    assert abs(outline.parameters - header.parameters) < header.parameters * 0.3


@pytest.mark.parametrize("length", [0, 3, 8, 24, 60, 200])
def test_too_few_or_wrong_bytes_are_no_outline(starter: Path, length: int) -> None:
    with pytest.raises(ModelRefused):
        read_outline(starter.read_bytes()[:length], "x.gguf")
    with pytest.raises(ModelRefused):
        read_outline(b"<html>" + bytes(length), "x.gguf")


def test_the_wanted_type_or_file_is_chosen(model: bytes) -> None:
    files = {"m-Q8_0.gguf": model, "m-Q3_K_M.gguf": model}
    with hub_server(files).running() as server:
        for suffix, quantisation in ((":q8_0", "Q8_0"), ("/blob/main/m-Q3_K_M.gguf", "Q3_K_M")):
            (file,) = list_page(server, suffix).choose()
            assert file.name == f"m-{quantisation}.gguf"
        with pytest.raises(RepositoryWithoutModel, match="Q3_K_M, Q8_0"):
            list_page(server).choose()
        with pytest.raises(RepositoryWithoutModel):
            list_page(server, ":Q2_K").choose()


@pytest.mark.parametrize(("name", "quantisation"), [
    ("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf", "Q4_K_M"), ("model.q4_0.gguf", "Q4_0"),
    ("X-UD-IQ1_S.gguf", "UD-IQ1_S"), ("X-BF16-00001-of-00002.gguf", "BF16"),
    ("X-mxfp4.gguf", "MXFP4"), ("plain.gguf", ""), ("Q-learning.gguf", "")
])  # fmt: skip
def test_the_type_is_read_from_the_name(name: str, quantisation: str) -> None:
    assert quantisation_of(name) == quantisation


HOSTILE = {
    "not JSON": b"<html>login</html>",
    "another shape": b'{"error": "x"}',
    "a negative size": json.dumps([{"type": "file", "path": "a.gguf", "size": -5}]).encode(),
    "a checksum that is none": json.dumps(
        [{"type": "file", "path": "a.gguf", "size": 5, "lfs": {"oid": "../", "size": 5}}]
    ).encode(),
    "a huge number": b'[{"type": "file", "path": "a.gguf", "size": 1' + b"0" * 4000 + b"}]",
    "deep nesting": b"[" * 200_000,
    "too many entries": json.dumps(
        [{"type": "file", "path": f"{n}.gguf", "size": 1} for n in range(10_001)]
    ).encode(),
    "too long": b" " * (MOST_LIST_BYTES + 1),
}


@pytest.mark.parametrize("listing", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_list_is_refused_with_a_sentence(listing: bytes) -> None:
    with (
        hub_server({}, listing).running() as server,
        pytest.raises(RepositoryNotListed, match="owner/Some-Model-GGUF"),
    ):
        list_page(server)


@pytest.mark.parametrize(
    "path", ["../../evil.gguf", "a/..gguf", "con.gguf", "x\u202e.gguf", "a\\b.gguf", "a.gguf/"]
)
def test_a_file_with_an_unusable_name_is_left_out(model: bytes, path: str) -> None:
    entries = [*tree_of({"good-Q4_0.gguf": model}), {"type": "file", "path": path, "size": 5}]
    with hub_server({}, json.dumps(entries).encode()).running() as server:
        names = [file.name for (file,) in list_page(server).models]
    assert "good-Q4_0.gguf" in names
    assert all("/" not in name and name.isprintable() for name in names)
    assert "con.gguf" not in names


def test_a_repository_without_gguf_files_is_refused() -> None:
    with hub_server({}).running() as server, pytest.raises(RepositoryWithoutModel):
        list_page(server)


@pytest.mark.parametrize("status", [401, 404, 418, 503])
def test_a_refusal_of_the_host_has_a_reason(status: int) -> None:
    def script(_request: Request, reply: Reply) -> None:
        reply.head(status, "Content-Length: 0")

    with (
        HostileServer(script).running() as server,
        pytest.raises(RepositoryNotListed, match=str(status)),
    ):
        list_page(server)


def test_files_are_listed_where_their_beginning_cannot_be_read(model: bytes) -> None:
    listing = json.dumps(tree_of({"m-Q4_0.gguf": model})).encode()
    with hub_server({}, listing).running() as server:
        found = list_page(server)
    assert found.outline is None
    assert [m.quantisation for m in listed_files(found)] == ["Q4_0"]
