import json
import shutil
import subprocess
import sys

from deepseek_r1.core.models_folders import choose_models_dir
from support.command import run_here


def test_the_doctor_tells_what_is_here(starter):
    found = json.loads(run_here("doctor", "--json").stdout)
    assert found["cpu"]["physical_cores"] >= found["cpu"]["threads"] >= 1
    assert found["memory"]["total_mb"] >= found["memory"]["available_mb"] > 0
    assert found["starter_model"] == str(starter)
    assert found["llama_cpp"]
    assert found["kernel"]["features"]
    assert found["kernel"]["error"] == ""


def test_the_doctor_speaks_to_people_too(own_profile):
    done = run_here("doctor")
    assert done.returncode == 0, done.stdout
    assert f"✓ Profile: {own_profile}\n" in done.stdout
    assert "Traceback" not in done.stderr


def test_each_finding_has_a_verdict_and_what_is_wrong_says_what_to_do():
    found = json.loads(run_here("doctor", "--json").stdout)
    keys = {finding["key"] for finding in found["findings"]}
    assert {
        "kernel", "processor", "cores", "load", "memory", "pressure", "profile", "room", "drive",
        "models", "version", "system", "llama-cpp-python", "ctransformers",
    } <= keys  # fmt: skip
    for finding in found["findings"]:
        assert finding["verdict"] in {"ok", "note", "warning", "problem"}
        assert (finding["verdict"] == "ok") == (finding["todo"] == "")
        assert finding["title"]
        assert finding["value"]


def test_what_does_not_work_is_exit_code_1(tmp_path):
    (tmp_path / "file").write_text("no folder")
    models = tmp_path / "file" / "profile"  # below a file nothing can be written
    done = run_here("doctor", "--json", R1DESK_PROFILE=str(models))
    found = {finding["key"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["profile"]["verdict"] == "problem"
    assert "R1DESK_PROFILE" in found["profile"]["todo"]
    assert done.returncode == 1


def test_a_models_folder_whose_drive_is_missing_is_a_problem(own_profile, tmp_path):
    choose_models_dir(tmp_path / "stick" / "models")
    done = run_here("doctor", "--json")
    found = {finding["key"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert found["folder"]["verdict"] == "problem"
    assert "its drive may not be connected" in found["folder"]["todo"]
    assert not {"room", "drive"} & found.keys()


def test_models_lists_the_starter_and_the_users_own(starter, own_profile):
    folder = own_profile / "models" / "家"
    folder.mkdir(parents=True)
    shutil.copy(starter, folder / "mine.gguf")
    (folder / "broken.gguf").write_bytes(b"")
    models = json.loads(run_here("models", "list", "--json").stdout)["models"]
    assert [m["path"] for m in models] == [
        str(starter), str(folder / "broken.gguf"), str(folder / "mine.gguf"),
    ]  # fmt: skip
    assert models[0]["needs_mb"] == models[2]["needs_mb"] > models[0]["mb"]
    assert "is empty" in models[1]["error"]


def test_a_process_of_ours_can_ask_the_program_for_a_module_of_ours_alone():
    command = [sys.executable, "-m", "deepseek_r1.cli", "-P", "-m"]
    asked = {"input": "{}", "capture_output": True, "text": True}
    own = subprocess.run([*command, "deepseek_r1.lab.engine_run"], check=False, **asked)
    assert "validation error for RunRequest" in own.stderr
    other = subprocess.run([*command, "json.tool"], check=False, **asked)
    assert other.returncode == 2
