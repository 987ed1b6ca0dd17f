"""A web page is fetched once, bounded, and from no address inside the user's network."""

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from deepseek_r1.catalogue import web_page
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import RetryPolicy
from deepseek_r1.catalogue.errors import DownloadStopped, PageNotRead
from deepseek_r1.catalogue.http_source import is_outside
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.catalogue.web_page import MOST_BYTES, FetchedPage, fetch_page
from deepseek_r1.documents.reading import read_document
from support.hostile_server import QUICK, HostileServer, Reply, Request

PAGE = (
    "<html><head><title>T</title><script>evil()</script></head><body><header>The site</header>"
    "<nav>Home</nav><main><header><h1>Ferries</h1></header><p>The ferry sails at 7 – daily.</p>"
    "<aside>Advert</aside></main><footer>Imprint</footer></body></html>"
)


def fetched(url: str, policy: RetryPolicy = QUICK) -> FetchedPage:
    return asyncio.run(fetch_page(url, policy))


def sent(*lines: str, body: bytes = b"", status: int = 200) -> HostileServer:
    """A server that answers each request with this."""

    def script(_request: Request, reply: Reply) -> None:
        reply.head(status, f"Content-Length: {len(body)}", *lines)
        reply.raw(body)

    return HostileServer(script)


def test_a_page_comes_by_the_network_process_and_is_read_without_what_is_around_it(tmp_path):
    kind = "Content-Type: text/html; charset=windows-1252"
    with sent(kind, body=PAGE.encode("cp1252")).running() as server:
        path = tmp_path / "page"
        address = NetworkProcess().fetch_page(f"{server.url}/ferries", path, QUICK)
        assert address == f"{server.url}/ferries"
        assert [each.path for each in server.requests] == ["/ferries"]
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"
    document = read_document(path, name="127.0.0.1/ferries", is_web_page=True)
    assert document.kind == "html"
    assert document.text() == "Ferries\n\nThe ferry sails at 7 – daily."
    assert "Imprint" in read_document(path).text()  # of a file nothing is left out


def test_what_is_no_page_stays_as_it_is():
    with sent("Content-Type: text/plain", body=b"a < b").running() as server:
        assert fetched(server.url).data == b"a < b"


def test_redirects_are_followed_and_each_address_is_checked_again():
    def script(request: Request, reply: Reply) -> None:
        target = {"/": "/next", "/in": "http://[::1]/secret", "/out": "file:///etc/passwd"}
        if request.path in target:
            reply.head(302, f"Location: {target[request.path]}", "Content-Length: 0")
        elif request.path == "/circle":
            reply.head(302, "Location: /circle", "Content-Length: 0")
        else:
            reply.file(b"arrived")

    with HostileServer(script).running() as server:
        assert fetched(f"{server.url}/") == (f"{server.url}/next", b"arrived")
        for path, reason in (
            ("in", "inside your own network"),
            ("out", "only http and https"),
            ("circle", "redirects in a loop"),
        ):
            with pytest.raises(PageNotRead, match=reason):
                fetched(f"{server.url}/{path}")


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1/", "http://localhost:8080/", "https://[::1]/", "http://0.0.0.0/",
     "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.5.5/", "http://169.254.169.254/",
     "http://[fe80::1]/", "http://[::ffff:127.0.0.1]/", "http://2130706433/", "http://0x7f.1/",
     "http://100.64.0.1/", "http://[fd00::1]/", "http://[64:ff9b::7f00:1]/"],
)  # fmt: skip
def test_an_address_inside_the_users_network_is_refused_in_a_sentence(address):
    with pytest.raises(PageNotRead) as refused:
        fetched(address, RetryPolicy())
    assert str(refused.value).endswith("was not read: the address is inside your own network.")


@pytest.mark.parametrize(
    "address",
    ["ftp://example.org/", "file:///etc/passwd", "https://a@b.c/", "javascript:alert(1)",
     "https://", "http://a:b/"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(address):
    with pytest.raises(PageNotRead, match=r"only http and https|is not valid"):
        fetched(address, RetryPolicy())


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch):
    """A name that means another server at a second look-up leads nowhere else."""
    look_ups = []

    async def resolve(_loop, host, port, **_kind):
        look_ups.append(host)
        address = "127.0.0.1" if len(look_ups) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with sent("Content-Type: text/plain", body=b"hello").running() as server:
        assert fetched(f"http://rebinding.example:{server.port}/").data == b"hello"
        assert server.requests[0].headers["host"] == f"rebinding.example:{server.port}"
    assert look_ups[0] == "rebinding.example"
    assert set(look_ups[1:]) <= {"127.0.0.1"}
    with pytest.raises(PageNotRead, match="inside your own network"):
        fetched("http://rebinding.example/")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_server_proves_that_it_has_the_name_and_not_only_the_address(monkeypatch, tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=x", "-addext", "subjectAltName=DNS:pages.example,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def resolve(_loop, _host, port, **_kind):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with HostileServer(lambda _, reply: reply.file(b"safe"), tls=context).running() as server:
        assert fetched(f"https://pages.example:{server.port}/").data == b"safe"
        with pytest.raises(PageNotRead, match="cannot prove its identity"):
            fetched(f"https://other.example:{server.port}/")


def test_a_name_with_one_address_inside_is_refused_as_a_whole(monkeypatch):
    async def resolve(_loop, _host, port, **_kind):
        found = [("93.184.216.34", port), ("10.0.0.1", port)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in found]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with pytest.raises(PageNotRead, match="inside your own network"):
        fetched("http://both.example/")


def test_a_page_that_is_too_large_or_takes_too_long_is_refused(monkeypatch):
    def endless(_request: Request, reply: Reply) -> None:
        reply.head(200, "Content-Type: text/html")
        for _ in range(2 * MOST_BYTES >> 16):
            reply.raw(bytes(1 << 16))

    large, silent = HostileServer(endless), HostileServer(lambda _request, reply: reply.wait(60))
    with large.running(), pytest.raises(PageNotRead, match="it is larger than 5 MB"):
        fetched(large.url)
    monkeypatch.setattr(web_page, "_LONGEST_S", 0.3)
    with silent.running(), pytest.raises(PageNotRead, match="it takes too long"):
        fetched(silent.url)


def test_what_a_server_answers_otherwise_is_refused():
    packed = gzip.compress(b"x")
    for server, reason in (
        (sent(status=404), "answered with status 404"),
        (sent("Content-Encoding: gzip", body=packed), "compressed"),
    ):
        with server.running(), pytest.raises(PageNotRead, match=reason):
            fetched(server.url)


def test_a_fetch_is_stopped_at_once(tmp_path: Path):
    stop = Stop()

    def script(_request: Request, reply: Reply) -> None:
        stop.request()
        reply.wait(60)

    with HostileServer(script).running() as server, pytest.raises(DownloadStopped):
        NetworkProcess().fetch_page(server.url, tmp_path / "page", QUICK, stop)


@pytest.mark.parametrize(
    ("address", "outside"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("64:ff9b::808:808", True),
     ("224.0.0.1", False), ("ff02::1", False), ("2002:7f00:1::", False), ("fe80::1%eth0", False)],
)  # fmt: skip
def test_addresses_of_the_public_internet(address, outside):
    assert is_outside(address) == outside
