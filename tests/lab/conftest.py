"""The starter model's weights as float16 and as int8, and texts nothing was calibrated on."""

from pathlib import Path

import pytest

from deepseek_r1.convert.job import ConversionRequest, convert
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.core.paths import resources_dir
from deepseek_r1.lab.quality_run import MeasurementSettings
from support.budgets import ROOMY_MIB

TEXTS = resources_dir() / "calibration"


def converted(source: Path, target: Path, precision: str) -> Path:
    convert(ConversionRequest(source, target, precision_named(precision), ROOMY_MIB, threads=2))
    return target


@pytest.fixture(scope="session")
def f16(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(starter, tmp_path_factory.mktemp("models") / "f16.gguf", "f16")


@pytest.fixture(scope="session")
def int8(f16: Path) -> Path:
    return converted(f16, f16.with_name("int8.gguf"), "int8")


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(__file__).parents[1] / "convert" / "reference" / "qwen2"
    return converted(folder, tmp_path_factory.mktemp("tiny") / "qwen2.gguf", "f32")


@pytest.fixture
def short_terms() -> MeasurementSettings:
    return MeasurementSettings(
        text=TEXTS / "evaluation.txt",
        memory_budget_mib=2048,
        window=128,
        most_scored=256,
        threads=2,
    )
