"""A redirect from outside does not lead into the user's own network, however it is written."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from deepseek_r1.catalogue.download_spec import RetryPolicy
from deepseek_r1.catalogue.errors import SourceUnsafe
from deepseek_r1.catalogue.http_source import _refuse_inside

OUTSIDE = httpx2.URL("https://1.1.1.1/model.gguf")


def redirect(target: str) -> None:
    asyncio.run(_refuse_inside(httpx2.URL(target), "model.gguf", RetryPolicy(), OUTSIDE))


@pytest.mark.parametrize("host", [
    "127.0.0.1", "10.0.0.8", "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "169.254.169.254",
    "169.254.169.254.", "2130706433", "0x7f000001", "127.1", "0", "localhost", "localhost.",
    "printer.local", "intranet",
])  # fmt: skip
def test_an_address_inside_is_refused_in_every_form(host: str) -> None:
    with pytest.raises(SourceUnsafe, match="inside your own network"):
        redirect(f"https://{host}/secret")


def test_an_address_outside_is_followed() -> None:
    redirect("https://8.8.8.8/model.gguf")


def test_a_mirror_inside_may_redirect_inside() -> None:
    asyncio.run(
        _refuse_inside(
            httpx2.URL("https://10.0.0.9/model.gguf"),
            "model.gguf",
            RetryPolicy(),
            httpx2.URL("https://10.0.0.8/model.gguf"),
        )
    )
