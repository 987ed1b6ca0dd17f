"""Before a load: the bill of a model, and every reason to refuse it, without native code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.errors import (
    BudgetTooSmall,
    ContextTooLarge,
    DraftUnfit,
    ModelFileMissing,
    TemplateUnusable,
)
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.protocol import LoadRequest
from deepseek_r1.host.supervisor import checked_load
from deepseek_r1.memory.forecast import model_bill
from support.ggml_files import tiny_gptj
from support.gguf_files import tiny_llama, tiny_qwen2

pytestmark = pytest.mark.integration
SETTINGS = LoadSettings(memory_budget=2048, context_length=512)


@pytest.fixture(scope="module")
def headers() -> Iterator[HeaderProcess]:
    with HeaderProcess() as process:
        yield process


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_llama(tmp_path / "model.gguf")


def check(headers: HeaderProcess, path: Path, settings: LoadSettings, template: str = "") -> None:
    load = LoadRequest(
        id=1, path=str(path), settings=settings, window_mib=100.0, chat_template=template
    )
    checked_load(headers, load)


def test_the_bill_has_the_draft_model_and_the_callers_own_memory(headers, model, tmp_path):
    alone = model_bill(headers.read_header, model, SETTINGS, 100.0)
    assert alone.bill.fits
    assert alone.fits_with is None
    drafted = SETTINGS.model_copy(update={"draft_model": str(tiny_llama(tmp_path / "draft.gguf"))})
    both = model_bill(headers.read_header, model, drafted, 150.0)
    mib = {line.name: line.planned_mib for line in both.bill.lines}
    assert mib["window"] == 150.0
    assert mib["draft"] > 0
    assert both.bill.total_mib > alone.bill.total_mib + 50.0


def test_a_bill_that_does_not_fit_names_settings_that_do(headers, starter):
    tight = LoadSettings(memory_budget=256, context_length=8192)
    found = model_bill(headers.read_header, starter, tight, 100.0, measure_disk=False)
    assert not found.bill.fits
    assert found.fits_with is not None
    with pytest.raises(BudgetTooSmall) as caught:
        check(headers, starter, tight)
    assert caught.value.facts["advice"]


def test_what_a_load_would_refuse_is_refused_before_it(headers, model, tmp_path):
    check(headers, model, SETTINGS)
    with pytest.raises(ModelFileMissing):
        check(headers, tmp_path / "gone.gguf", SETTINGS)
    with pytest.raises(ContextTooLarge):
        check(headers, model, LoadSettings(context_length=1024))
    with pytest.raises(TemplateUnusable):
        check(headers, model, SETTINGS, "{% for %}")
    other = tiny_qwen2(tmp_path / "other.gguf")
    drafted = SETTINGS.model_copy(update={"draft_model": str(other)})
    for unfit in (model, tiny_gptj(tmp_path / "old.bin")):
        with pytest.raises(DraftUnfit):
            check(headers, unfit, drafted)
