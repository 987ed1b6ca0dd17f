from __future__ import annotations

import json
import shutil

from command import run


def test_the_doctor_tells_what_is_here(starter):
    found = json.loads(run("doctor", "--json").stdout)
    assert found["cpu"]["physical_cores"] >= found["cpu"]["threads"] >= 1
    assert found["memory"]["total_mb"] >= found["memory"]["available_mb"] > 0
    assert found["starter_model"] == str(starter)
    assert found["llama_cpp"]
    assert found["kernel"]["features"]
    assert found["kernel"]["error"] == ""


def test_the_doctor_speaks_to_people_too(own_profile):
    done = run("doctor")
    assert done.returncode == 0
    assert f"Profile: {own_profile} (writable)" in done.stdout


def test_models_lists_the_starter_and_the_users_own(starter, own_profile):
    folder = own_profile / "models" / "家"
    folder.mkdir(parents=True)
    shutil.copy(starter, folder / "mine.gguf")
    (folder / "broken.gguf").write_bytes(b"")
    models = json.loads(run("models", "list", "--json").stdout)["models"]
    assert [m["path"] for m in models] == [
        str(starter), str(folder / "broken.gguf"), str(folder / "mine.gguf"),
    ]  # fmt: skip
    assert models[0]["needs_mb"] == models[2]["needs_mb"] > models[0]["mb"]
    assert "is empty" in models[1]["error"]


def test_models_lists_for_people():
    done = run("models", "list")
    assert "Q4_1" in done.stdout
