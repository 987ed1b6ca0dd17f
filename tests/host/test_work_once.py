"""What a load and a question need is computed once, in whichever process."""

from collections import Counter
from pathlib import Path

import pytest

from deepseek_r1.core import child_call
from deepseek_r1.core.errors import BudgetTooSmall, PromptTooLong
from deepseek_r1.core.events import LoadProgress
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.client import EngineClient
from deepseek_r1.inference import CPUInference
from deepseek_r1.memory import advice
from deepseek_r1.memory.forecast import planned_share
from deepseek_r1.memory.load_plan import plan_load, read_other_models
from host.counted_child import counted_command
from support.gguf_files import tiny_llama, tiny_qwen2

SETTINGS = LoadSettings(memory_budget=2048, context_length=512)


class Work:
    """The work of the engine's process, of the header process and of this one."""

    def __init__(self, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notes, self.seen = notes, 0
        monkeypatch.setattr(child_call, "child_command", lambda kind: counted_command(kind, notes))
        plan = advice.plan

        def noted(*args):
            with notes.open("a") as written:
                print("bill", file=written)
            return plan(*args)

        monkeypatch.setattr(advice, "plan", noted)

    def since(self, text: str = "") -> Counter[str]:
        """The work since the last call, with texts that contain this one."""
        lines = self.notes.read_text("utf-8").splitlines()
        new, self.seen = lines[self.seen :], len(lines)
        of_texts = [line for line in new if text in line or not line.startswith("tokenise")]
        return Counter(line.split()[0] for line in of_texts)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(tmp_path / "notes", monkeypatch)


def test_a_load_reads_one_header_and_makes_one_bill_also_where_it_replaces_a_model(tmp_path, work):
    one, other = tiny_llama(tmp_path / "one.gguf"), tiny_llama(tmp_path / "other.gguf")
    bills = []

    def take(event) -> None:
        if isinstance(event, LoadProgress) and event.bill is not None:
            bills.append(event.bill.total_mib)

    with EngineClient(command=counted_command(ChildKind.ENGINE, work.notes)) as engine:
        for model in (one, other):
            loaded = engine.load(model, SETTINGS, on_event=take)
            done = work.since()
            assert (done["header"], done["bill"]) == (1, 1), model
            assert bills == [pytest.approx(loaded.bill.total_mib)]
            bills.clear()
        with pytest.raises(BudgetTooSmall):
            engine.load(one, SETTINGS.model_copy(update={"memory_budget": 10}))
        assert work.since()["header"] == 1


def test_a_question_is_rendered_and_tokenised_once(tmp_path, work):
    model, words = tiny_llama(tmp_path / "one.gguf"), "Why is the sky blue?"
    with EngineClient(command=counted_command(ChildKind.ENGINE, work.notes)) as engine:
        engine.load(model, SETTINGS)
        work.since()
        list(engine.generate(words, SamplingSettings(max_tokens=2), reserve=100))
        done = work.since(words)
        assert (done["render"], done["tokenise"]) == (1, 1)
        with pytest.raises(PromptTooLong) as refused:
            list(engine.generate(words, SamplingSettings(max_tokens=2), reserve=500))
    assert refused.value.facts["reserve"] == 500


def test_a_plan_is_made_again_for_a_file_that_took_the_place_of_the_one_that_was_planned(tmp_path):
    path = tiny_llama(tmp_path / "one.gguf")
    header = read_header(path)
    plan = plan_load(header, SETTINGS, planned_share(100.0), read_other_models(SETTINGS, header))
    assert plan.usable
    tiny_qwen2(path)
    with CPUInference(path, settings=SETTINGS, window_mib=100.0, plan=plan) as model:
        assert (plan.header.architecture, model.loaded.facts.architecture) == ("llama", "qwen2")
