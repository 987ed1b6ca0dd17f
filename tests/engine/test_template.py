"""Chat templates: R1's to the letter, hostile ones to an end."""

import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jinja2.debug
import psutil
import pytest

from deepseek_r1.core.errors import ConversationRefused, TemplateUnusable
from deepseek_r1.core.messages import Message, message_from
from deepseek_r1.engine.prompt import template_process
from deepseek_r1.engine.prompt.template import ChatTemplate
from deepseek_r1.engine.prompt.template_process import (
    end_renderer,
    render_in_process,
    renderer_mib,
    renderer_pid,
    start_renderer,
)
from deepseek_r1.engine.prompt.template_renderer import (
    CPU_SECONDS,
    OUT_OF_MEMORY_ERRORS,
    render_calls,
)
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.meter import cpu_seconds, unshared_mib
from deepseek_r1.memory.plan import RENDERER_MIB
from support.hostile_templates import HOSTILE, SHARED_LISTS
from support.prompt_chats import assistant, system, user
from support.real_models import FILE_BYTES, r1_header

HERE = Path(__file__).parent
BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"


def r1_source() -> str:
    """The template in the published DeepSeek-R1-Distill-Qwen-7B (MIT licence)."""
    return (HERE / "r1_distill_qwen.jinja").read_text("utf-8")


def render(source: str, *messages: Message) -> str:
    return ChatTemplate(source).render(messages, bos=BOS, eos=EOS)


CONVERSATIONS = {
    "one question": ([user("Hello")], "<｜User｜>Hello<｜Assistant｜>"),
    "system prompt": (
        [system("Be brief."), user("Hello")],
        "Be brief.<｜User｜>Hello<｜Assistant｜>",
    ),
    "second turn": (
        [user("1+1?"), assistant("2"), user("And 2+2?")],
        "<｜User｜>1+1?<｜Assistant｜>2<｜end▁of▁sentence｜><｜User｜>And 2+2?<｜Assistant｜>",
    ),
    "old thinking is left out": (
        [user("1+1?"), assistant("<think>\nEasy.\n</think>\n\n2"), user("Sure?")],
        "<｜User｜>1+1?<｜Assistant｜>\n\n2<｜end▁of▁sentence｜><｜User｜>Sure?<｜Assistant｜>",
    ),
    "contents are not touched": (
        [user("  \n 深度求索 🙂 {{ 7*7 }} <b>&amp;</b>\n")],
        "<｜User｜>  \n 深度求索 🙂 {{ 7*7 }} <b>&amp;</b>\n<｜Assistant｜>",
    ),
    "the last system prompt counts": (
        [system("A"), system("B"), user("x"), user("y")],
        "B<｜User｜>x<｜User｜>y<｜Assistant｜>",
    ),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_r1_conversations_to_the_letter(name: str) -> None:
    messages, expected = CONVERSATIONS[name]
    assert render(r1_source(), *messages) == BOS + expected


def test_r1s_own_file_carries_this_template(tmp_path: Path) -> None:
    sparse = tmp_path / "r1.gguf"
    shutil.copyfile(r1_header(), sparse)
    with sparse.open("r+b") as file:
        file.truncate(FILE_BYTES)
    assert read_header(sparse).template == r1_source()


def test_a_template_that_thinks_only_where_it_is_asked_is_asked() -> None:
    source = "{{ messages[0].content }}{% if enable_thinking %}<think>{% else %}</think>{% endif %}"
    template = ChatTemplate(source)
    assert template.opens_thinking(template.render([user("Hello")]))
    asked = "{{ messages[0].content }}{{ enable_thinking }}"
    assert ChatTemplate(asked).render([user("Hello")]) == "Hello", "it has no form of thinking"


def test_marks_for_training_leave_the_text_as_it_is() -> None:
    source = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    assert render(source, user("Hello")) == "Hello"


def test_r1_reasons_and_plain_chatml_does_not() -> None:
    assert ChatTemplate(r1_source()).reasons
    assert not ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}").reasons


def each_message(block: str) -> str:
    return "{% for m in messages %}" + block + "{% endfor %}"


AS_TRANSFORMERS = {
    "blocks are trimmed": (
        each_message("\n  {% if true %}\n{{ m.role }}:{{ m.content }}\n  {% endif %}\n"),
        'user:é<"🙂\nuser:y\n',
    ),
    "loop controls and JSON": (
        each_message("{% if loop.index == 2 %}{% break %}{% endif %}{{ m | tojson }}"),
        '{"role": "user", "content": "é<\\"🙂"}',
    ),
    "the date": ("{{ messages|length }}{{ strftime_now('%Y')|length }}", "24"),
    "a method of texts": (each_message("{{ m.content.replace('y', 'z') }}"), 'é<"🙂z'),
    "a format": ("{{ '<{}>'.format(messages[0].content) }}", '<é<"🙂>'),
    "rounding": ("{{ 2.56|round(1) }}", "2.6"),
}


@pytest.mark.parametrize("name", AS_TRANSFORMERS)
def test_what_published_templates_use_works(name: str) -> None:
    source, expected = AS_TRANSFORMERS[name]
    assert render(source, user('é<"🙂'), user("y")) == expected


def test_a_refusal_of_the_template_is_reported() -> None:
    source = "{% if messages|length > 1 %}{{ raise_exception('One at a time!') }}{% endif %}x"
    with pytest.raises(TemplateUnusable, match="One at a time!"):
        render(source, user("x"), user("y"))


@pytest.mark.parametrize(
    "source",
    [
        each_message(
            "{% if m.role == 'system' %}{{ raise_exception('No system') }}{% endif %}"
            "[{{ m.content }}]"
        ),
        each_message("{% if m.role != 'system' %}[{{ m.content }}]{% endif %}"),
    ],
)
def test_instructions_join_the_question_where_there_is_no_place_for_them(source: str) -> None:
    assert render(source, system("Be brief."), user("Hello")) == "[Be brief.\n\nHello]"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(source, id=name, marks=[pytest.mark.slow] if number % 4 else [])
        for number, (name, source) in enumerate(HOSTILE.items())
        if name != "comparison of shared lists"  # the next test has it
    ],
)
def test_hostile_templates_end_soon_with_a_sentence(source: str) -> None:
    before_s = renderers_seconds()
    with pytest.raises(TemplateUnusable) as caught:
        render(source or "", user("x"))
    assert renderers_seconds() - before_s < 2 * CPU_SECONDS
    assert len(str(caught.value)) > 40


def renderers_seconds() -> float:
    """The processor's time of the renderers so far, of those that were ended too."""
    ended, pid = psutil.Process().cpu_times(), renderer_pid()
    running = cpu_seconds(pid) if pid is not None else 0.0
    return ended.children_user + ended.children_system + running


def test_a_usable_template_works_after_one_that_ended_the_renderer() -> None:
    with pytest.raises(TemplateUnusable, match="takes too long"):
        render(SHARED_LISTS + "{{ ns.a == ns.b }}", user("x"))
    assert render(r1_source(), user("x")).endswith("x<｜Assistant｜>")


def lists(count: int, items: int) -> str:
    """A template that makes so many lists of so many numbers, and then an x."""
    return (
        f"{{% set ns=namespace(l=[]) %}}{{% for i in range({count}) %}}"
        f"{{% set ns.l=[ns.l, range({items})|list] %}}{{% endfor %}}x"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the system's own limit")
def test_a_template_that_wants_memory_is_ended_inside_its_line_of_the_bill() -> None:
    most = 0.0
    for _ in range(20):  # a busy machine may show no reading of the moment before the end
        end_renderer()
        most = max(most, most_mib_of_a_template_that_wants_memory())
        if most > RENDERER_MIB - 5:
            break
    assert RENDERER_MIB - 5 < most < RENDERER_MIB + 1


def most_mib_of_a_template_that_wants_memory() -> float:
    """The largest of many readings."""
    start_renderer()
    pid = renderer_pid()
    assert pid is not None
    most = 0.0
    with ThreadPoolExecutor() as pool:
        rendering = pool.submit(render, lists(100_000, 100_000), user("x"))
        while not rendering.done():
            most = max(most, unshared_mib(pid))
            time.sleep(0.002)
    assert isinstance(rendering.exception(), TemplateUnusable)
    return most


@pytest.mark.skipif(sys.platform != "linux", reason="the system's own limit")
@pytest.mark.parametrize("items", [1_000, 10_000, 100_000])
def test_a_template_after_one_that_wanted_memory_has_all_of_its_own(items: int) -> None:
    for _ in range(2):
        with pytest.raises(TemplateUnusable, match="too much memory"):
            render(lists(100_000, items), user("x"))
        assert render(lists(1, 40_000), user("x")) == "x"  # half of it
        assert render(r1_source(), user("x")).endswith("x<｜Assistant｜>")
    assert renderer_mib() < 40


@pytest.mark.skipif(sys.platform != "linux", reason="the system's own limit")
def test_a_template_as_long_as_the_longest_published_one_has_the_memory_it_takes() -> None:
    macro = r1_source().replace("{%", "{% if true %}{%", 1) + "{% endif %}"
    for copies in (15, 1, 14):  # the one before is freed first
        source = macro * copies
        assert render(source, user("x")).count("x<｜Assistant｜>") == copies


def test_a_reply_is_bounded_by_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    end_renderer()
    monkeypatch.setattr(template_process, "REPLY_BYTES", 100)
    assert render("{{ 'x' * 1000 }}", user("x")) == "x" * 1000
    monkeypatch.setattr(template_process, "REPLY_SHARE", 1)
    end_renderer()
    with pytest.raises(TemplateUnusable, match="too much memory"):
        render("{{ 'x' * 1000 }}", user("x"))


def test_an_interpreter_that_fails_for_want_of_memory_is_not_the_templates_reason(monkeypatch):
    """CPython's compiler lacked memory while Jinja reported that the template had taken it all."""

    def compile_without_memory(*_: object) -> None:
        raise SystemError("<built-in function compile> returned NULL without setting an exception")

    monkeypatch.setattr(jinja2.debug, "compile", compile_without_memory, raising=False)
    with pytest.raises(OUT_OF_MEMORY_ERRORS):
        render_calls("{{ 1 // 0 }}", [{"messages": []}])


def test_a_renderer_that_starts_slowly_is_no_fault_of_the_template(monkeypatch):
    end_renderer()
    monkeypatch.setattr(template_process, "RENDER_S", 0.0)  # its start alone takes longer
    monkeypatch.setattr(template_process, "BUSY_S", 0.1)
    ((_, text),) = render_in_process("hello", [{"messages": []}])
    assert text == "hello"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
@pytest.mark.parametrize("times", [1, 2])
def test_a_renderer_that_another_program_ends_is_replaced_once(times, monkeypatch):
    ended: list[int] = []

    def end_it(renderer: int) -> float:  # it is ready, and gets its request next
        if len(ended) < times:
            os.kill(renderer, signal.SIGKILL)
            ended.append(renderer)
        return 0.0

    assert render("ready")
    with monkeypatch.context() as patch:
        patch.setattr(template_process, "cpu_seconds", end_it)
        if times == 1:
            assert render("ready") == "ready"
        else:
            with pytest.raises(TemplateUnusable, match=r"has ended: SIGKILL\."):
                render("ready")
    assert len(set(ended)) == times
    assert render("ready") == "ready"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal elsewhere only")
def test_ctrl_c_interrupts_a_template_at_once() -> None:
    start_renderer()
    ChatTemplate(r1_source())
    threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):  # and not the refusal after its time
        render(SHARED_LISTS + "{{ ns.a == ns.b }}", user("x"))
    assert renderer_pid() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_has_a_renderer_of_its_own() -> None:
    template = ChatTemplate(r1_source())
    before = renderer_pid()
    child = os.fork()
    if child == 0:
        text = template.render([user("x")])
        os._exit(0 if text.endswith("x<｜Assistant｜>") and renderer_pid() != before else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert template.render([user("y")]).endswith("y<｜Assistant｜>")
    assert renderer_pid() == before


@pytest.mark.slow
@pytest.mark.quiet
def test_a_long_conversation_stays_inside_the_limits() -> None:
    messages = [user("word " * 200_000), assistant("answer " * 50), user("again")] * 10
    began = time.monotonic()
    assert len(render(r1_source(), *messages)) > 10_000_000
    assert time.monotonic() - began < 1.0


@pytest.mark.skipif(sys.platform == "win32", reason="stops the process with a signal")
def test_a_template_is_not_refused_because_the_machine_is_busy(monkeypatch):
    """The renderer gets no processor for twice the time that a request has."""
    monkeypatch.setattr(template_process, "RENDER_S", 0.75)
    assert render("ready")
    renderer = renderer_pid()
    assert renderer is not None
    os.kill(renderer, signal.SIGSTOP)
    timer = threading.Timer(1.5, os.kill, (renderer, signal.SIGCONT))
    timer.start()
    try:
        assert render("{{ messages[0]['content'] }}", user("Hello")) == "Hello"
    finally:
        timer.join()


WEATHER = {"id": "c1", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
CALLED = [
    message_from({"role": "user", "content": "The weather?"}),
    message_from({"role": "assistant", "content": None, "tool_calls": [WEATHER]}),
    message_from({"role": "tool", "tool_call_id": "c1", "content": "18 degrees"}),
]
AS_JSON = each_message(
    "{% for call in m.tool_calls or [] %}{{ call.function.arguments | tojson }}{% endfor %}"
    "{{ m.content or '' }}"
)


def test_calls_of_tools_and_their_results_are_written_as_the_template_has_them() -> None:
    text = ChatTemplate(r1_source()).render(CALLED)
    assert (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"
        '{"city": "Rome"}\n```<｜tool▁call▁end｜>'
        "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>18 degrees<｜tool▁output▁end｜>"
    ) in text
    assert ChatTemplate(AS_JSON).render(CALLED) == 'The weather?{"city": "Rome"}18 degrees'


def test_a_template_that_knows_no_calls_gets_an_empty_answer_in_their_place() -> None:
    source = each_message("[{{ m.role + ':' + m.content }}]")
    written = "[user:The weather?][assistant:][tool:18 degrees]"
    assert ChatTemplate(source).render(CALLED) == written


def test_a_conversation_that_the_template_refuses_is_no_fault_of_the_model() -> None:
    source = each_message(
        "{% if m.role == 'tool' %}{{ raise_exception('No tools.') }}{% endif %}{{ m.content }}"
    )
    with pytest.raises(ConversationRefused, match="No tools"):
        ChatTemplate(source).render(CALLED)
