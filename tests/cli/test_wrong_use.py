"""Help, and wrong use: the exit status and a word on standard error."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.cli.command import width_of, wrapped
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.settings import LoadSettings
from support.command import run, run_here
from support.gguf_files import tiny_qwen2
from support.raw_gguf import U32, RawGguf


@pytest.mark.parametrize(
    "args",
    [
        ["plan", "a.gguf", "--model", "b.gguf"],
        ["plan", "--cache_strategy", "mru"],
        ["plan", "--chunk_size", "63"],
        ["plan", "--chunk-size", "8193"],
        ["generate", "--temperature", "-1", "Hi"],
        ["generate", "--thread_count", "many", "Hi"],
        ["generate", "--batch_size", "0", "Hi"],
        ["generate", ""],
        ["generate", "-"],
        ["generate", "Hi", "-m", ""],
        ["compare", "Hi", "--precision", "int8,nope"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_and_a_word_on_standard_error(args):
    done = run_here(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nothing"], "没有命令 nothing。"),
        (["plan", "--no-such"], "没有选项 --no-such。"),
        (["plan", "--context-length", "3"], "--context-length 必须为 0 或至少 256。"),
        (
            ["plan", "--context-length", "x"],
            "'--context-length' 的值无效：需要一个数（integer range），而不是“x”。",
        ),
        (
            ["generate", "--temperature", "9"],
            "'--temperature' 的值无效：9.0 不在范围 0.0<=x<=5.0 内。",
        ),
        (
            ["plan", "--kv-type", "q9"],
            "'--kv-type' 的值无效：“q9”不在可选值之中：'auto', 'f16', 'q8_0', 'q4_0'。",
        ),
        (["plan", "--memory_budget"], "--memory-budget 需要 1 个值。"),
        (["generate", "Hi", "--temperature", "nan"], "--temperature: "),
        (["plan", "--json=1"], "--json 不接受值。"),
        (
            ["plan", "--swap_enabled=maybe"],
            "--swap-enabled: “maybe”不在可选值之中：true, on, yes, 1, false, off, no, 0。",
        ),
        (["plan", "a", "b"], "多出了此命令不接受的参数：b"),
        (["models", "pull"], "缺少参数 'WHAT...'."),
        (["models", "nothing"], "没有命令 nothing。"),
    ],
    ids=str,
)
def test_wrong_usage_is_told_in_the_language_in_force(args, words):
    done = run_here(*args, language="zh_CN")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"错误：{words}")


def test_a_picture_as_chat_template_is_wrong_usage(tmp_path):
    path = tmp_path / "picture.jinja"
    path.write_bytes(b"\x89PNG{")
    done = run_here("generate", "--chat-template", path, "Hi")
    assert (done.returncode, done.stdout) == (2, "")
    assert "picture.jinja cannot be used as a chat template" in done.stderr


def bad_file(folder, kind):
    path = folder / f"模型 {kind} 🐳.gguf"
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_bytes(b"Not a model, but a letter." * 100)
        case "old":
            path.write_bytes(b"tjgg" + bytes(100))
        case "cut":
            path.write_bytes(b"GGUF" + (3).to_bytes(4, "little"))
        case "vocabulary":
            RawGguf(RawGguf.parse(tiny_qwen2(path).read_bytes()).keys, []).write(path)
        case "one token":
            sound = RawGguf.parse(tiny_qwen2(path).read_bytes())
            sound.set("qwen2.context_length", U32, 1).write(path)
    return path


@pytest.mark.parametrize("command", ["plan", "generate", "bench engine"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "does not exist."),
        ("empty", "is empty."),
        ("text", "is not a GGUF model."),
        ("old", "old GGJT format"),
        ("cut", "The model file"),
        ("vocabulary", "contains no weights."),
        ("one token", "It can read 1 tokens at a time"),
    ],
)
def test_a_bad_file_is_exit_code_3_with_our_words(tmp_path, command, kind, message):
    path = bad_file(tmp_path, kind)
    model = [path] if command == "bench engine" else ["--model", path]
    done = run_here(*command.split(), *model, *(["Hi"] if command == "generate" else []))
    assert (done.returncode, done.stdout) == (3, "")
    assert str(path) in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version():
    assert "--memory-budget" in run_here("generate", "--help").stdout
    assert run_here("--version").stdout.startswith("deepseek-r1 ")


COMMANDS = [["generate"], ["chat"], ["plan"], ["models", "pull"], ["convert"], ["quality"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_on_a_narrow_terminal_is_whole(command: list[str]):
    assert_whole(run_here(*command, "--help", COLUMNS="80").stdout)


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_chinese_help_on_a_narrow_terminal_is_whole(command: list[str]):
    assert_whole(run(*command, "--help", LANG="zh_CN.UTF-8", COLUMNS="80").stdout)


def assert_whole(shown: str) -> None:
    assert shown
    assert "…" not in shown
    assert all(width_of(line) <= 80 for line in shown.splitlines())


def test_a_chinese_sentence_is_read_to_its_end(monkeypatch):
    shown = "".join(run("plan", "--help", LANG="zh_CN.UTF-8", COLUMNS="80").stdout.split())
    use_language("zh_CN")
    try:
        said = tr(LoadSettings.info("cache_strategy").help)
    finally:
        use_language("en")
    assert "".join(said.split()) in shown
    assert "选项" in shown
    assert "Showthismessage" not in shown


def test_the_list_of_commands_says_what_each_is_for():
    shown = " ".join(run_here("models", "--help", COLUMNS="80").stdout.split())
    assert "Read models completely and compare them with their checksums. Exit status 3 if" in shown


@given(st.text(), st.integers(10, 60))
def test_wrapping_loses_nothing(text: str, width: int):
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.lists(st.text("。一二三abc", max_size=5).map(lambda t: t.lstrip("。"))), st.just(20))
def test_lines_keep_to_the_width(words: list[str], width: int):
    assert all(width_of(line) <= width + 8 for line in wrapped(" ".join(words), width))


def test_models_are_listed_with_whole_paths(starter):
    shown = run_here("models", "list", COLUMNS="40").stdout
    assert str(starter) in shown


def test_the_help_says_how_much_goes_without_an_option():
    shown = " ".join(run_here("prune", "--help").stdout.split())
    assert "0.3, or none with --prune-layers" in shown


def test_options_of_a_fit_that_is_gone_are_taken_and_named(tmp_path: Path):
    gone = ["--no-compensate", "--scratch", "x", "--disk-limit", "5"]
    done = run_here("prune", str(tmp_path / "none.gguf"), str(tmp_path / "new.gguf"), *gone)
    assert all(name in done.stderr for name in ("--compensate", "--scratch", "--disk-limit"))
    assert "No such option" not in done.stderr
