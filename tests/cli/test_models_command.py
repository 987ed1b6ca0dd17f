"""`deepseek-r1 models`: what it prints, what it asks, and its exit codes."""

import hashlib
import json
import os
import re
import signal

import pytest
from click.testing import CliRunner

from deepseek_r1.catalogue import download_spec, forecaster, known_models
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import RepositoryNotListed
from deepseek_r1.catalogue.hub_reference import HubHost
from deepseek_r1.cli import pull_command
from deepseek_r1.cli.app import app
from deepseek_r1.core.paths import STARTER_NAME
from deepseek_r1.memory.forecast import MachineSpeed
from support.command import run, run_here, start
from support.gguf_files import tiny_qwen2
from support.hostile_server import HostileServer, hub_server, page
from support.patience import wait_until

LOOPBACK = {"R1DESK_LOOPBACK_HTTP": "1", "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def model(tmp_path):
    return tiny_qwen2(tmp_path / "tiny.gguf")


@pytest.fixture
def known_speed(monkeypatch):
    """The computer is not measured."""
    speed = MachineSpeed(memory_mib_s=60_000, disk_mib_s=500, threads=2)
    monkeypatch.setattr(forecaster, "machine_speed", lambda: speed)


def test_the_best_of_the_list_is_the_recommended_file_of_its_model(known_speed):
    models = json.loads(run_here("models", "list", "--available", "--json").stdout)["models"]
    (best,) = (m for m in models if m["best"])
    text = f"The best DeepSeek-R1 for this computer: {best['path']}"
    assert text in run_here("models", "list", "--available").stdout
    name, _, quantisation = best["path"].partition("/")
    advice = json.loads(run_here("models", "files", name, "--json").stdout)["advice"]
    assert advice.startswith(f"Recommended: {quantisation} (")


def test_what_can_be_downloaded_is_listed_with_what_to_type():
    models = json.loads(run_here("models", "list", "--available", "--json").stdout)["models"]
    assert {m["path"] for m in models} >= {"deepseek-r1-distill-qwen-7b/Q4_K_M"}
    assert all(m["needs_mb"] > m["mb"] > 0 for m in models)
    assert all(m["verifiable"] and m["purpose"] for m in models)
    listed = run_here("models", "list", "--available")
    assert "deepseek-r1-distill-qwen-1.5b/Q4_K_M" in listed.stdout
    assert re.search(r" 1\.0 GB .* GB ", listed.stdout)  # size and memory
    assert "MiB" not in listed.stdout + listed.stderr
    assert "is a draft model for DeepSeek-R1-Distill-Qwen-7B, " in listed.stderr


def test_a_model_is_pulled_verified_and_removed(model, own_profile):
    data = model.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    with HostileServer(lambda _, reply: reply.file(data)).running() as server:
        url = f"{server.url}/tiny.gguf"
        done = run_here("models", "pull", url, "--sha256", digest.upper(), **LOOPBACK)
    path = own_profile / "models" / "tiny.gguf"
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert url in done.stderr
    assert path.read_bytes() == data

    found = json.loads(run_here("models", "verify", "--json").stdout)
    assert found["sound"]
    assert found["files"][0]["verdict"] == "unchanged"
    path.write_bytes(data[:-1] + b"!")
    done = run_here("models", "verify", "tiny")
    assert done.returncode == 3
    assert "CHANGED" in done.stdout

    done = run("models", "remove", "tiny", text="n\n")  # click echoes in this process
    assert done.returncode == 1
    assert path.exists()
    assert done.stdout == ""
    done = run_here("models", "remove", "tiny", text="y\n")
    assert done.returncode == 0
    assert not path.exists()
    assert run_here("models", "remove", "tiny", "--yes").returncode == 2


def test_what_a_comparison_has_converted_is_listed_and_can_be_removed(shallow_starter, own_profile):
    run_here(
        *("compare", "Hi", "-m", shallow_starter, "--precision", "q8_0", "--max-tokens", "1"),
        *("--context-length", "512"),
    )
    (file,) = (own_profile / "converted").glob("*.gguf")
    listed = json.loads(run_here("models", "list", "--json").stdout)["models"]
    assert str(file) in [each["path"] for each in listed]
    assert run_here("models", "remove", file.stem, "--yes").returncode == 0
    assert not file.exists()


def test_the_starter_can_be_verified_by_the_name_in_the_list(starter):
    (listed,) = json.loads(run_here("models", "list", "--json").stdout)["models"]
    done = run_here("models", "verify", starter.stem)
    assert listed["path"] == str(starter)
    assert (done.returncode, starter.name in done.stdout) == (0, True)


def test_a_wrong_file_ends_with_three_and_a_dead_server_with_one(model, own_profile):
    with HostileServer(lambda _, reply: reply.file(model.read_bytes())).running() as server:
        url = f"{server.url}/tiny.gguf"
        done = run_here("models", "pull", url, "--sha256", "0" * 64, **LOOPBACK)
        assert done.returncode == 3
        assert "is not the expected" in done.stderr
        assert run_here("models", "pull", url, **LOOPBACK).returncode == 3
    missing = HostileServer(lambda _, reply: reply.head(404, "Content-Length: 0"))
    with missing.running() as server:
        done = run_here("models", "pull", f"{server.url}/x.gguf", "--accept-unverified", **LOOPBACK)
    assert done.returncode == 1
    assert not list((own_profile / "models").glob("*.gguf"))


def test_plain_http_is_refused_without_the_switch_for_tests():
    done = run_here("models", "pull", "http://127.0.0.1:9/x.gguf", "--accept-unverified")
    assert done.returncode == 1
    assert "https" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("gpt-5",),
        ("deepseek-r1-distill-qwen-7b/Q9",),
        ("deepseek-r1-distill-qwen-7b", "--sha256", "0" * 64),
        ("deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-qwen-14b"),
        ("unsloth/Qwen3-4B-GGUF", "--sha256", "0" * 64),
        ("unsloth/Qwen3-4B-GGUF:Q4_K_M", "--name", "mine.gguf"),
        ("deepseek-r1-0528-qwen3-8b", "--source", "modelscope"),
        ("deepseek-r1-draft-qwen2.5-0.5b", "--quantisation", "Q8_0"),
        ("https://x.test/a.gguf", "--sha256", "abc"),
        ("https://x.test/a.gguf", "https://x.test/b.gguf", "--sha256", "0" * 64),
        ("https://x.test/..%2Fa.gguf", "--sha256", "0" * 64),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(arguments):
    done = run_here("models", "pull", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Q9" not in arguments[0] or "Q4_K_M" in done.stderr, "the types of that model are named"


def test_a_name_that_is_no_repository_is_wrong_usage():
    assert run_here("models", "files", "../..").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("deepseek-r1-distill-llama-8b",), "no draft model for DeepSeek-R1-Distill-Llama-8B"),
        (("unsloth/Qwen3-4B-GGUF",), "--with-draft is for one model of the catalogue"),
        (("https://x.test/a.gguf",), "--with-draft is for one model of the catalogue"),
        (("deepseek-r1-draft-qwen2.5-0.5b",), "--with-draft is for one model of the catalogue"),
    ],
)
def test_a_draft_model_is_downloaded_with_models_that_have_one(arguments, reason):
    done = run_here("models", "pull", *arguments, "--with-draft")
    assert done.returncode == 2
    assert reason in done.stderr


@pytest.fixture
def hub_of_drafts(model, monkeypatch):
    """A hub on this computer in place of Hugging Face; the catalogue's addresses lead to it."""
    draft = known_models.find_draft("deepseek-r1-draft-qwen2.5-0.5b")
    (seven,) = (m for m in known_models.known_models() if m.id == "deepseek-r1-distill-qwen-7b")
    data = model.read_bytes()
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    with (
        hub_server({draft.file: data}, repository=draft.repository).running() as hub,
        HostileServer(lambda _request, reply: reply.file(data)).running() as server,
    ):
        here = HubHost("here", hub.url)
        monkeypatch.setattr(download_spec, "draft_hosts", lambda: (here,))
        spec = DownloadSpec(
            f"{server.url}/{seven.files[1].file}",
            seven.files[1].file,
            hashlib.sha256(data).hexdigest(),
        )
        monkeypatch.setattr(pull_command, "spec_for_known", lambda *_given, **_options: spec)
        yield hub


def pull_with_draft():
    arguments = ("models", "pull", "deepseek-r1-distill-qwen-7b", "--with-draft", "--json")
    return CliRunner().invoke(app, arguments)


def test_a_model_and_its_draft_model_are_pulled_together(hub_of_drafts, own_profile):
    done = pull_with_draft()
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["path"] == str(own_profile / "models" / "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf")
    assert found["draft"]["verified"]
    assert found["draft"]["path"].endswith("DeepSeek-R1-DRAFT-Qwen2.5-0.5B-Q4_K_M.gguf")


def test_a_hub_without_the_draft_model_does_not_withhold_the_model(
    hub_of_drafts, own_profile, monkeypatch
):
    nowhere = HubHost("nowhere", "http://127.0.0.1:9")
    monkeypatch.setattr(download_spec, "draft_hosts", lambda: (nowhere,))
    done = pull_with_draft()
    assert isinstance(done.exception, RepositoryNotListed)
    assert json.loads(done.stdout)["new"]
    assert (own_profile / "models" / "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf").exists()


def test_a_file_is_imported(model, own_profile):
    found = json.loads(run_here("models", "import", model, "--move", "--json").stdout)
    assert found["path"] == str(own_profile / "models" / "tiny.gguf")
    assert not model.exists()
    named, by_path = (
        run_here("plan", name, "--context-length", "256", "--json")
        for name in ("tiny", found["path"])
    )
    assert (named.returncode, named.stdout) == (0, by_path.stdout)
    assert run_here("plan", "tiny2").returncode == 3
    assert run_here("models", "import", model, "--move", "--link").returncode == 2
    assert run_here("models", "import", model).returncode == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows gives the profile's folder to its user")
def test_a_profile_that_an_import_makes_is_the_users_alone(model, tmp_path, monkeypatch):
    profile = tmp_path / "new" / "profile"
    monkeypatch.setenv("R1DESK_PROFILE", str(profile))
    assert run_here("models", "import", model).returncode == 0
    assert profile.stat().st_mode & 0o077 == 0


def test_a_link_that_is_moved_leaves_a_file_and_what_it_led_to(model, own_profile, tmp_path):
    link = tmp_path / "snapshot" / "linked.gguf"  # relative, as in Hugging Face's cache
    link.parent.mkdir()
    link.symlink_to("../tiny.gguf")
    done = run_here("models", "import", link, "--move")
    path = own_profile / "models" / "linked.gguf"
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert path.read_bytes() == model.read_bytes()
    assert not path.is_symlink()
    assert not link.is_symlink()


def test_a_command_takes_the_names_that_the_list_shows(tmp_path, own_profile):
    named = tiny_qwen2(tmp_path / "mine-Q8.gguf", **{"general.name": "Tiny of Mine"})
    assert run_here("models", "import", named).returncode == 0
    lines = run_here("models", "list").stdout.splitlines()
    names = [each.split()[0] for each in lines if ".gguf" in each]
    assert len(names) == 2
    for name in (*names, STARTER_NAME):
        done = run_here("plan", name, "--context-length", "256")
        assert done.returncode == 0, done.stderr


def test_an_interrupted_download_ends_at_once_and_goes_on_later(model, own_profile, monkeypatch):
    data = model.read_bytes()
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)

    def script(request, reply):
        reply.file(data, limit=None if request.number else 100_000)
        if not request.number:
            reply.wait(60)

    with HostileServer(script).running() as server:
        order = (f"{server.url}/tiny.gguf", "--sha256", hashlib.sha256(data).hexdigest())
        process = start("models", "pull", *order)
        part = own_profile / "models" / ".downloads" / "tiny.gguf.part"
        wait_until(lambda: part.exists() and part.stat().st_size == 100_000)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=25)  # its own patience with a stall: 30
        assert (process.returncode, stdout) == (130, "")
        assert "Traceback" not in stderr
        assert part.stat().st_size == 100_000
        assert run_here("models", "pull", *order).returncode == 0


def test_a_repository_is_listed_and_a_file_of_it_is_pulled(model, own_profile):
    data = model.read_bytes()
    files = {"m-Q4_K_M.gguf": data, "m-Q8_0.gguf": data + bytes(64)}
    with hub_server(files).running() as server:
        done = run_here("models", "files", page(server), "--json", **LOOPBACK)
        rows = json.loads(done.stdout)["files"]
        assert [row["quantisation"] for row in rows] == ["Q4_K_M", "Q8_0"]
        assert all(row["needs_mb"] > 0 and row["fits"] for row in rows)
        assert "m-Q8_0.gguf" in run_here("models", "files", page(server), **LOOPBACK).stdout
        done = run_here("models", "pull", f"{page(server)}:Q4_K_M", **LOOPBACK)
        assert done.returncode == 0, done.stderr
        assert "The checksum is right." in done.stderr
        done = run_here("models", "pull", f"{page(server)}:Q2_K", **LOOPBACK)
        assert done.returncode == 1
        assert "Q4_K_M, Q8_0" in done.stderr
    assert (own_profile / "models" / "m-Q4_K_M.gguf").read_bytes() == data
    assert not (own_profile / "models" / "m-Q8_0.gguf").exists()


def test_the_files_of_a_known_model_are_priced_for_the_budget_and_two_of_them_named(
    own_profile, known_speed
):
    order = ("models", "files", "deepseek-r1-distill-qwen-7b")
    for budget, fits in (("1500", False), ("16384", True)):
        found = json.loads(run_here(*order, "--memory-budget", budget, "--json").stdout)
        assert [each["quantisation"] for each in found["files"]][::4] == ["Q3_K_M", "Q8_0"]
        assert {each["fits"] for each in found["files"]} == {fits}
        assert all(each["drafted_tok_s"] == 0 for each in found["files"]) or not fits
    assert "Best that runs here: Q8_0" in found["advice"]
