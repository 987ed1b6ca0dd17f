"""The engine has one name wherever it is shown."""

from __future__ import annotations

import re

from deepseek_r1.checks import software_checks
from deepseek_r1.engine.protocol.engine_names import engine_name


def test_the_engine_is_called_llama_cpp_with_the_version_of_its_package() -> None:
    assert re.fullmatch(r"llama\.cpp \(llama-cpp-python [\d.]+\)", engine_name())


def test_the_engine_for_old_files_is_its_package() -> None:
    assert re.fullmatch(r"ctransformers [\d.]+", engine_name(legacy=True))


def test_the_doctor_calls_the_engines_the_same() -> None:
    findings = {finding.key: finding.value for finding in software_checks.check()}
    assert findings["llama-cpp-python"] == engine_name()
    assert findings["ctransformers"] == engine_name(legacy=True)
