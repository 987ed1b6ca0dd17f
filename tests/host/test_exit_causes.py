"""An exit code and the end of stderr become an error that a person can use."""

import signal

import pytest

from deepseek_r1.core.errors import EngineDied, EngineOutOfMemory, SystemTooTight
from deepseek_r1.host.engine_session import classify, last_error_line

has_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL there")


@pytest.mark.parametrize(
    ("code", "error", "how"),
    [
        (-signal.SIGABRT, EngineDied, "abort"),
        (-signal.SIGSEGV, EngineDied, "SIGSEGV"),
        (-signal.SIGTERM, EngineDied, "SIGTERM"),
        pytest.param(-9, EngineOutOfMemory, "SIGKILL", marks=has_sigkill),
        (-63, EngineDied, None),
        (-1000, EngineDied, "signal 1000"),
        (1, EngineDied, "exit code 1"),
        (0xC0000005, EngineDied, "SIGSEGV"),
        (0xC0000409, EngineDied, "abort"),
        (0xC000012D, EngineOutOfMemory, None),
    ],
)
def test_an_exit_code_becomes_a_cause(code, error, how):
    cause = classify(code, "")
    assert type(cause) is error
    assert how is None or cause.facts["how"] == how
    assert "?" not in str(cause)


ABORT = """\
llama_model_loader: loaded meta data with 30 key-value pairs
/src/llama-vocab.cpp:1845: GGML_ASSERT(id_to_token.size() > 0) failed
Fatal Python error: Aborted

Current thread 0x00007f3c (most recent call first):
  File "/app/deepseek_r1/engine/llama/binding/model.py", line 40 in load
"""


def test_the_code_of_windows_abort_is_one_with_the_trace_of_an_abort():
    assert classify(3, ABORT).facts["how"] == "abort"
    assert classify(3, "usage: engine").facts["how"] == "exit code 3"


def test_a_limit_of_the_system_is_told_from_a_fault():
    assert isinstance(classify(1, "RuntimeError: can't start new thread"), SystemTooTight)


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (ABORT, "/src/llama-vocab.cpp:1845: GGML_ASSERT(id_to_token.size() > 0) failed"),
        ("terminate called after throwing\n  what():  std::bad_alloc\n", "what():  std::bad_alloc"),
        (
            'Traceback (most recent call last):\n  File "x", line 1\nOSError: no libgomp.so.1\n',
            "OSError: no libgomp.so.1",
        ),
        ("all is well\nwhat a day\n", "what a day"),
        ("Fatal Python error: Segmentation fault\n\nThread 0x1:\n  File x\n", ""),
        ("", ""),
        ("error: \x1b[31mred\x00\u202e " + "x" * 5000, "error:  [31mred   " + "x" * 382),
    ],
)
def test_last_words_are_what_a_person_can_use(stderr, words):
    assert last_error_line(stderr) == words
