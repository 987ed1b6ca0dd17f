"""A frame survives every text, and no bytes from the other end break the reader."""

import io
import os
import struct
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.host import protocol


def generate(text: str) -> protocol.GenerateRequest:
    return protocol.GenerateRequest(id=1, messages=(Message(role=Role.USER, content=text),))


def sent(request: protocol.Request) -> protocol.Request:
    stream = io.BytesIO(frames.pack(request, frames.TO_CHILD_CAP))
    body = frames.read(stream, frames.TO_CHILD_CAP)
    assert body is not None
    assert frames.read(stream, frames.TO_CHILD_CAP) is None
    return frames.parse(body, protocol.request_adapter)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_text_arrives_as_it_was_sent(text):
    assert sent(generate(text)) == generate(text)


@pytest.mark.parametrize(
    ("typed", "arrives"),
    [
        ("a\x00b\x1b[0m", "a\x00b\x1b[0m"),
        ("lone \ud800 high", "lone \ufffd high"),
        ("lone \udcff low", "lone \ufffd low"),
        ("pair \ud83d\ude00", "pair \U0001f600"),
        ("x" * 1_000_000, "x" * 1_000_000),
        ("深度求索 🐋 \u202e", "深度求索 🐋 \u202e"),
    ],
)
def test_difficult_text_arrives(typed, arrives):
    assert sent(generate(typed)) == generate(arrives)


class Named(BaseModel):
    path: FilePath
    parts: tuple[FilePath, ...]
    text: str


@pytest.mark.skipif(sys.platform == "win32", reason="names are text there")
@given(
    st.binary(max_size=40).filter(lambda name: b"\0" not in name),
    st.text(st.characters(codec=None), max_size=40),
)
@example(b"/models/\xff.gguf", "lone \ud800 high")
def test_a_path_of_any_bytes_arrives_beside_any_text(name, text):
    path = os.fsdecode(name)
    sent = Named(path=path, parts=(path, "b"), text=text)
    arrived = frames.parse(frames.pack(sent, frames.TO_CHILD_CAP)[4:], TypeAdapter(Named))
    assert os.fsencode(arrived.path) == name
    assert arrived.parts == (path, "b")
    assert arrived.text == frames.without_surrogates(text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' names may hold lone surrogates")
def test_a_path_that_no_file_has_is_sent_as_text():
    sent = Named(path="/models/\ud800.gguf", parts=(), text="")
    arrived = frames.parse(frames.pack(sent, frames.TO_CHILD_CAP)[4:], TypeAdapter(Named))
    assert arrived.path == "/models/\ufffd.gguf"


def test_a_message_over_the_cap_is_refused_before_it_is_sent():
    with pytest.raises(frames.FrameTooLong):
        frames.pack(generate("x" * frames.TO_CHILD_CAP), frames.TO_CHILD_CAP)


def test_a_length_is_refused_before_a_byte_is_read():
    stream = io.BytesIO(struct.pack(">I", frames.FROM_CHILD_CAP + 1) + b"x" * 100)
    with pytest.raises(ProtocolBroken):
        frames.read(stream, frames.FROM_CHILD_CAP)
    assert stream.tell() == 4


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_cut_off_stream_is_told_from_a_finished_one(cut):
    stream = io.BytesIO(frames.pack(protocol.DoneReply(id=1), 1000)[:cut])
    with pytest.raises(frames.StreamCutOff):
        frames.read(stream, 1000)


def test_bytes_may_come_one_at_a_time():
    class Drip(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, size: int = -1) -> bytes:
            part, self.data = self.data[:1], self.data[1:]
            return part

    body = frames.read(Drip(frames.pack(protocol.DoneReply(id=7), 1000)), 1000)
    assert frames.parse(body, protocol.reply_adapter) == protocol.DoneReply(id=7)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"kind":"magic"}', b'{"kind":"done"}',
        b'{"kind":"done","id":"x"}', b'{"kind":"done","id":1,"more":2}',
        b'{"kind":"done","id":99999999999999999999}',
        b'{"kind":"hello","version":1,"pid":-4,"engine":""}',
        b'{"kind":"beat","phase":"idle","idle_s":NaN,"cpu_s":0,"rss_mib":0,"peak_mib":0,'
        b'"context_used":0,"context_length":0}',
        b'{"kind":"event","id":1,"event":{"kind":"surprise"}}',
        b"[" * 100_000, b'{"kind":' * 50_000, b'{"kind":"done","id":' + b"9" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(body):
    with pytest.raises(ProtocolBroken):
        frames.parse(body, protocol.reply_adapter)


def test_a_refusal_names_the_place_and_not_the_content():
    with pytest.raises(ProtocolBroken) as caught:
        frames.parse(b'{"kind":"done","id":"my secret diary"}', protocol.reply_adapter)
    assert "secret" not in str(caught.value)
    assert "done.id" in str(caught.value)


@settings(max_examples=300)
@given(st.binary(max_size=2000))
def test_any_bytes_end_in_messages_or_in_one_named_error(data):
    stream = io.BytesIO(data)
    try:
        while (body := frames.read(stream, frames.FROM_CHILD_CAP)) is not None:
            frames.parse(body, protocol.reply_adapter)
    except (ProtocolBroken, frames.StreamCutOff):
        pass
