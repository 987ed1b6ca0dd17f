"""The performance panel on an offscreen screen, and the values it is shown."""

from deepseek_r1.core.events import Bill, BillLine, ModelFacts, ModelLoaded
from r1desk.performance.readings import GaugeValues, ResourceSample
from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.performance.widgets.setting_rows import NumberRow

LINES = {
    "weights": 1065.2,
    "kv_cache": 112.0,
    "compute": 148.0,
    "output": 74.2,
    "runtime": 60.0,
    "window": 118.0,
    "reserve": 3.0,
}


def a_bill(budget_mib: float = 2048, measured: bool = False) -> Bill:
    lines = tuple(
        BillLine(name=name, planned_mib=mib, measured_mib=mib + 1 if measured else None)
        for name, mib in LINES.items()
    )
    return Bill(lines=lines, budget_mib=budget_mib)


def a_model(context_trained: int = 8192) -> ModelLoaded:
    facts = ModelFacts(
        path="/models/r1.gguf",
        name="DeepSeek-R1-Distill-Qwen-1.5B",
        architecture="qwen2",
        file_mib=1065,
        parameters=1_777_000_000,
        quantisation="Q4_K_M",
        context_length=4096,
        context_trained=context_trained,
        vocabulary=151_936,
        reasons=True,
        engine="llama.cpp",
    )
    return ModelLoaded(
        facts=facts, bill=a_bill(measured=True), load_s=1.2, threads=2, threads_prefill=2
    )


def a_streamed_bill(budget_mib: float = 1024, disk_mib_s: float = 1200.0) -> Bill:
    parts = {"pinned": 560.0, "slots": 45.0} | {k: v for k, v in LINES.items() if k != "weights"}
    parts["window"] = 20.0
    lines = tuple(BillLine(name=name, planned_mib=mib) for name, mib in parts.items())
    return Bill(
        lines=lines,
        budget_mib=budget_mib,
        streamed_mib=480.0,
        short_streamed_mib=400.0,
        disk_mib_s=disk_mib_s,
    )


def a_streamed_model() -> ModelLoaded:
    return a_model().model_copy(update={"bill": a_streamed_bill()})


def gauge_values(**changes: object) -> GaugeValues:
    sample = ResourceSample(
        window_mib=112.0,
        engine_mib=changes.pop("engine_mib", 300.0),
        machine_used_mib=6000.0,
        machine_total_mib=16000.0,
        cores=changes.pop("cores", (0.25, 0.75)),
    )
    values = {"sample": sample, "budget_mib": 2048.0, "state": "Ready", "tok_s": 0.0}
    return GaugeValues(**(values | changes))


def number(panel: PerformancePanel, key: str) -> NumberRow:
    row = (panel.load.rows | panel.answers.rows)[key]
    assert isinstance(row, NumberRow)
    return row
