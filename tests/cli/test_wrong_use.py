from __future__ import annotations

import pytest

from support.command import run_here
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
        (["plan", "--json=1"], "--json 不接受值。"),
        (
            ["plan", "--swap_enabled=maybe"],
            "--swap-enabled: “maybe”不在可选值之中：true, on, yes, 1, false, off, no, 0。",
        ),
        (["plan", "a", "b"], "多出了此命令不接受的参数：b"),
        (["models", "pull"], "缺少参数 'WHAT...'."),
        (["models", "nothing"], "没有命令 nothing。"),
        (["doctor", "--model", "a.gguf"], "--model 只能与 --measure-threads 一起使用。"),
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
        ("one token", "the key qwen2.context_length has the value 1"),
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
