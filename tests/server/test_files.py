"""OpenAI's client sends documents to a server, and gets answers that cite them."""

import asyncio
import base64
import contextlib
import io
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import openai
import pytest
from fastapi import Request

from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory import meter
from deepseek_r1.server.admission import client_of
from deepseek_r1.server.answer_stream import ClientDisconnectedError
from deepseek_r1.server.api_responses import ApiError
from deepseek_r1.server.file_uploads import FileUploads
from deepseek_r1.server.instances import share_of
from deepseek_r1.server.serve_options import ServeOptions
from support import document_files
from support.forced_answers import CITING
from support.gguf_files import EMBEDDING, tiny_bert
from support.processes import programs_below
from support.servers import RunningServer, StartServer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

REPORT = b"The harbour of Brest was closed in May.\n\nThe ferry sails again since June.\n"
ROUNDS = int(os.environ.get("R1_KILL_ROUNDS", "5"))


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with server.client() as client:
        yield client


def ask(client: openai.OpenAI, *files: dict[str, str], **options: object) -> object:
    return ask_about(client, *({"type": "file", "file": file} for file in files), **options)


def ask_about_picture(client: openai.OpenAI, url: str) -> object:
    return ask_about(client, {"type": "image_url", "image_url": {"url": url}})


def ask_about(client: openai.OpenAI, *parts: object, **options: object) -> object:
    content = [*parts, {"type": "text", "text": "When was the harbour closed?"}]
    return client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[{"role": "user", "content": content}],
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": CITING}},
        **options,
    )


def inline(data: bytes, kind: str = "text/plain", name: str = "report.txt") -> dict[str, str]:
    encoded = base64.b64encode(data).decode()
    return {"file_data": f"data:{kind};base64,{encoded}", "filename": name}


def test_a_file_is_uploaded_listed_and_deleted(client: openai.OpenAI):
    made = client.files.create(file=("Bericht ü.txt", REPORT), purpose="user_data")
    assert (made.filename, made.bytes, made.status) == ("Bericht ü.txt", len(REPORT), "processed")
    assert [each.id for each in client.files.list()] == [made.id]
    assert client.files.retrieve(made.id).purpose == "user_data"
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_an_upload_says_until_when_it_is_kept(client: openai.OpenAI):
    file, purpose = ("a.txt", REPORT), "user_data"
    made = client.files.create(file=file, purpose=purpose)
    assert made.expires_at == made.created_at + 24 * 3600
    client.files.delete(made.id)
    hour = {"anchor": "created_at", "seconds": 3600}
    made = client.files.create(file=file, purpose=purpose, expires_after=hour)
    assert made.expires_at == made.created_at + 3600
    client.files.delete(made.id)
    for seconds in (60, "000003600999999"):
        with pytest.raises(openai.BadRequestError, match="between 3600 and 2592000"):
            client.files.create(
                file=file, purpose=purpose, expires_after=hour | {"seconds": seconds}
            )


def test_an_upload_is_gone_with_its_text_when_its_time_is_over(monkeypatch):
    """Without a server: no client waits for an hour."""

    async def walk() -> None:
        uploads = uploads_of_server()
        request = upload_request(REPORT)
        made = await uploads.upload(request)
        (sha256,) = await uploads.take(client_of(request), [asked(made["id"])])
        async with uploads._turns.turn("another"), asyncio.timeout(5):  # whose document is read
            assert (await uploads.files(request))["data"] == [made]
        monkeypatch.setattr(time, "time", lambda: made["expires_at"])
        with pytest.raises(ApiError, match="There is no file"):
            await uploads.take(client_of(request), [asked(made["id"])])
        assert (await uploads.files(request))["data"] == []
        assert sha256 not in uploads._documents.added

    def asked(file_id: str) -> dict[str, object]:
        return {"role": "user", "content": [{"type": "file", "file": {"file_id": file_id}}]}

    asyncio.run(walk())


def test_an_upload_whose_reader_is_killed_costs_no_other_file(client, server):
    def kill_readers() -> None:
        for reader in programs_below(server.process.pid, ChildKind.DOCUMENTS.value.module):
            reader.kill()

    kept, chance = (
        client.files.create(file=("a.txt", REPORT), purpose="user_data"),
        random.Random(1),
    )
    for number in range(ROUNDS):
        text = f"{number} ".encode() + b"The ferry sails. " * 20_000
        with contextlib.suppress(openai.BadRequestError):
            (timer := threading.Timer(chance.uniform(0, 0.5), kill_readers)).start()
            made = client.files.create(file=("b.txt", text), purpose="user_data")
            client.files.delete(made.id)
        timer.join()
    assert [each.id for each in client.files.list()] == [kept.id]
    assert "May" in str(ask(client, {"file_id": kept.id}))
    client.files.delete(kept.id)


def uploads_of_server(**options: object) -> FileUploads:
    settings = LoadSettings(memory_budget=4096)
    given = {"max_file_bytes": 8 << 20, "keeps_files": True, "settings": settings} | options

    @asynccontextmanager
    async def deadline() -> AsyncIterator[None]:
        yield

    engine = SimpleNamespace(reduce_weights=in_memory)
    service = SimpleNamespace(options=SimpleNamespace(**given), deadline=deadline, engine=engine)
    return FileUploads(service)


async def in_memory(_mib: float) -> bool:
    """The weights of a model that is not streamed make no room."""
    return False


def upload_request(data: bytes) -> Request:
    """The form that OpenAI's client sends."""
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + data
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]

    received = asyncio.Event()

    async def receive() -> dict[str, object]:
        if received.is_set():
            await asyncio.Future()  # the client stays
        received.set()
        return {"type": "http.request", "body": body + b"\r\n--x--\r\n"}

    return Request({"type": "http", "headers": headers, "client": ("127.0.0.1", 1)}, receive)


def test_a_client_keeps_at_most_twenty_files(client: openai.OpenAI):
    made = [client.files.create(file=("a.txt", REPORT), purpose="user_data") for _ in range(20)]
    with pytest.raises(openai.BadRequestError, match="20 files of a client are kept"):
        client.files.create(file=("a.txt", REPORT), purpose="user_data")
    for each in made:
        client.files.delete(each.id)


def test_a_chat_about_an_uploaded_file_has_its_passages(client: openai.OpenAI):
    made = client.files.create(file=("report.txt", REPORT), purpose="user_data")
    answer = ask(client, {"file_id": made.id})
    (source,) = answer.choices[0].message.sources
    assert source["document"] == "report.txt"
    assert "closed in May" in source["text"]
    assert answer.usage.prompt_tokens > 60
    client.files.delete(made.id)


def test_a_picture_in_the_message_is_answered_from_its_text(client: openai.OpenAI):
    picture = io.BytesIO()
    document_files.scan("The harbour was closed in May.").save(picture, "PNG")
    encoded = base64.b64encode(picture.getvalue()).decode()
    answer = ask_about_picture(client, f"data:image/png;base64,{encoded}")
    (source,) = answer.choices[0].message.sources
    assert source["text"].startswith("[Read from a picture, ")
    assert source["text"].endswith("The harbour was closed in May.")
    assert 0.9 < source["picture_confidence"] <= 1
    assert "read from a picture" in source["place"]


def test_a_picture_that_is_elsewhere_is_not_fetched(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError, match="nothing is fetched from elsewhere"):
        ask_about_picture(client, "http://127.0.0.1:1/picture.png")


def test_a_chat_about_a_file_in_the_message_streams_its_passages_at_the_end(client):
    chunks = list(ask(client, inline(REPORT), stream=True))
    found = [each for each in chunks if getattr(each.choices[0].delta, "sources", None)]
    assert found == chunks[-1:]


def test_an_embedding_model_orders_the_passages_and_makes_the_embeddings(start_server, tmp_path):
    days = (f"Day {n}. The harbour was closed.\n" + f"{n} gulls. " * 80 for n in range(60))
    diary = inline("\n\n".join(days).encode(), name="diary.txt")
    options = ("--context-length", "2048", "--embedding-model", tiny_bert(tmp_path / "bert.gguf"))
    with start_server(*options).client() as client:
        sources = ask(client, diary).choices[0].message.sources
        name = client.models.list().data[0].id
        (row,) = client.embeddings.create(model=name, input="a harbour").data
    assert len(row.embedding) == EMBEDDING
    by_words = [f"Day {n}." for n in range(len(sources))]  # all have the same ones
    assert not all(each["text"].startswith(tuple(by_words)) for each in sources)


def test_reading_a_file_stays_in_the_budget_or_is_refused(start_server: StartServer):
    rows = b"".join(b"%03d\n" % (number % 1000) for number in range(400_000))
    server = start_server("--memory-budget", "300", "--parallel", "1")
    with server.client() as client:
        client.files.create(file=("report.txt", REPORT), purpose="user_data")
        before_mib = meter.process_mib(server.process.pid)
        client.files.create(file=("rows.csv", rows), purpose="user_data")
        assert meter.peak_mib(server.process.pid) - before_mib < 40
        with pytest.raises(openai.BadRequestError, match="memory budget of 300 MiB has"):
            client.files.create(file=("a.csv", b"harbour " * 1_900_000), purpose="user_data")
        client.files.create(file=("again.txt", REPORT), purpose="user_data")


@pytest.mark.parametrize(
    "file",
    [
        {"file_id": "file-x"},
        {"file_data": "data:x;base64,%%%"},
        inline(b""),
        inline(b"\0\1\2" * 99),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(client: openai.OpenAI, file: dict[str, str]):
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
        ask(client, file)


def test_another_client_sees_no_file_of_this_one(start_server: StartServer):
    server = start_server(key="a" * 20)
    with server.client() as one:
        made = one.files.create(file=("report.txt", REPORT), purpose="user_data")
        with server.http() as http:
            refused = http.get(f"/v1/files/{made.id}", headers={"Authorization": "Bearer wrong"})
            assert refused.status_code == 401


# ---- several clients


def test_the_document_of_a_client_that_leaves_is_not_read_to_its_end():
    async def walk() -> None:
        uploads = uploads_of_server()
        request = upload_request(document_files.pdf([document_files.pdf_lines("a")] * 9_000))
        sent, leave = request.receive, asyncio.Event()

        async def receive() -> dict[str, object]:
            if not leave.is_set():
                leave.set()
                return await sent()
            while not uploads._turns.given:  # until its document is read
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        request._receive = receive
        with pytest.raises(ClientDisconnectedError):
            await uploads.upload(request)
        assert not uploads._turns.given
        assert (await uploads.files(request))["data"] == []

    asyncio.run(walk())


def test_a_server_of_several_instances_keeps_no_files_and_says_so():
    options = ServeOptions(model=Path(), settings=LoadSettings(memory_budget=4096), served_name="")
    assert not share_of(options, 2).keeps_files
    uploads = uploads_of_server(keeps_files=False)
    with pytest.raises(ApiError, match="several instances answer here"):
        asyncio.run(uploads.upload(upload_request(REPORT)))


def test_an_invented_key_or_header_makes_no_other_client(server: RunningServer):
    with server.http() as one:
        form = {"files": {"file": ("a.txt", REPORT)}, "data": {"purpose": "user_data"}}
        made = one.post("/v1/files", **form).json()
        invented = {"Authorization": "Bearer k1", "X-Forwarded-For": "10.0.0.9"}
        assert one.get("/v1/files", headers=invented).json()["data"] == [made]
        one.delete(f"/v1/files/{made['id']}")


def test_behind_a_trusted_proxy_each_address_has_its_own_files(start_server: StartServer):
    with start_server("--trusted-proxy", "127.0.0.1").http() as proxy:
        form = {"files": {"file": ("a.txt", REPORT)}, "data": {"purpose": "user_data"}}
        made = proxy.post("/v1/files", headers={"X-Forwarded-For": "10.0.0.9"}, **form).json()
        for address, files in (("10.0.0.8", []), ("10.0.0.9", [made])):
            found = proxy.get("/v1/files", headers={"X-Forwarded-For": f"10.0.0.1, {address}"})
            assert found.json()["data"] == files


def test_what_is_no_file_is_refused_by_its_name(client: openai.OpenAI):
    for wrong in ([1], None, {}, {"file_data": 3}):
        with pytest.raises(openai.BadRequestError, match="with a `file_id` or `file_data`"):
            ask(client, wrong)
    made = client.files.create(file=("a.txt", REPORT), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="are not given back"):
        client.files.content(made.id)
    client.files.delete(made.id)


def test_a_part_of_a_form_has_a_short_head(server: RunningServer):
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for head in (b'name="x";' * 100_000, b"no end"):
        body = b"--x\r\n" + head + b"\r\n--x--\r\n"
        with server.http() as raw:
            answer = raw.post("/v1/files", content=body, headers=kind)
        assert answer.status_code == 400
        assert "has no head, or a long one" in answer.json()["error"]["message"]


def test_a_locked_pdf_is_refused_in_a_sentence(client: openai.OpenAI):
    file = ("lease.pdf", document_files.locked_pdf("geheim", "4711"))
    with pytest.raises(openai.BadRequestError, match="It is password-protected"):
        client.files.create(file=file, purpose="user_data")
