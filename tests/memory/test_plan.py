import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.core.errors import BudgetTooSmall, ContextTooLarge
from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.memory import cost_model
from deepseek_r1.memory.advice import advise, require_fit
from deepseek_r1.memory.plan import (
    WEIGHT_ITEMS,
    ProcessOverhead,
    plan,
    with_context,
)
from memory.headers import GIB, OVERHEAD, billed, header, headers, load_settings

MIB = 1 << 20
WIDTHS = {KVType.F16: 2.0, KVType.Q8_0: 34 / 32, KVType.Q4_0: 18 / 32}


def line(bill: Bill, name: str) -> float:
    return next(item.planned_mib for item in bill.lines if item.name == name)


def beside_weights_mib(bill: Bill) -> float:
    return sum(item.planned_mib for item in bill.lines if item.name not in WEIGHT_ITEMS)


def whole(chosen: LoadSettings) -> LoadSettings:
    return chosen.model_copy(update={"swap_enabled": False})


def test_the_bill_has_its_seven_lines_in_order():
    bill = billed(header(), LoadSettings())
    assert [item.name for item in bill.lines] == [
        "weights", "kv_cache", "compute", "output", "runtime", "window", "reserve",
    ]  # fmt: skip
    assert all(item.measured_mib is None for item in bill.lines)


def test_weights_are_all_tensors_once():
    assert line(billed(header(weights_bytes=3 * GIB), LoadSettings()), "weights") == 3072.0


@pytest.mark.parametrize(("kv_type", "bytes_each"), WIDTHS.items())
def test_the_kv_cache_is_what_llama_cpp_reports(kv_type, bytes_each):
    # llama.cpp's own log for SmolLM2 (30 layers, 3 KV heads of 64) at 1024 cells:
    # "KV buffer size = 22.50 MiB" as f16, 11.95 MiB as q8_0.
    small = header(blocks=30, heads=9, heads_kv=3, head=64)
    bill = billed(small, LoadSettings(context_length=1024, kv_type=kv_type))
    assert line(bill, "kv_cache") == pytest.approx(22.5 * bytes_each / 2)


@pytest.mark.parametrize(("slow_f16", "same_as"), [(False, KVType.F16), (True, KVType.Q8_0)])
def test_an_automatic_precision_is_f16_unless_that_is_slow(slow_f16: bool, same_as: KVType) -> None:
    overhead = replace(OVERHEAD, slow_f16=slow_f16)
    named = LoadSettings(context_length=1024, kv_type=same_as)
    assert LoadSettings().kv_type is KVType.AUTO
    assert with_context(header(), LoadSettings(context_length=1024), overhead) == named
    bill = plan(header(), LoadSettings(context_length=1024), overhead).bill
    assert bill == billed(header(), named)


def test_heads_that_no_blocks_fit_into_keep_f16_and_no_advice_quantises_them() -> None:
    wide = replace(header(), key_length=80, value_length=80)
    overhead = replace(OVERHEAD, slow_f16=True)
    asked = LoadSettings(context_length=8192)
    assert with_context(wide, asked, overhead).kv_type is KVType.F16
    total = plan(wide, asked, overhead).bill.total_mib
    short = asked.model_copy(update={"memory_budget": math.floor(total / 2)})
    assert advise(wide, short, overhead).settings.kv_type is KVType.AUTO


def test_a_precision_that_the_user_chose_stays() -> None:
    asked = LoadSettings(context_length=1024, kv_type=KVType.F16)
    assert with_context(header(), asked, replace(OVERHEAD, slow_f16=True)) == asked


def test_the_context_is_padded_as_llama_cpp_pads_it():
    asked, padded = (LoadSettings(context_length=n, kv_type=KVType.F16) for n in (1025, 1280))
    assert cost_model.kv_cache_bytes(header(), asked) == cost_model.kv_cache_bytes(header(), padded)


def test_latent_attention_keeps_one_row_for_keys_and_values():
    deepseek = header(
        architecture="deepseek2", blocks=61, heads=128, heads_kv=1, head=576, value=512,
        attention__key_length_mla=192,
    )  # fmt: skip
    asked = LoadSettings(context_length=4096, kv_type=KVType.F16)
    assert cost_model.kv_cache_bytes(deepseek, asked) == 61 * 4096 * 576 * 2


COMPUTE = [  # "CPU compute buffer size" of llama.cpp for these shapes, f16, 512 x 1024
    (header(vocabulary=32_000, embedding=4096, feed_forward=14_336, heads=32, heads_kv=8), 117.01),
    (header(embedding=3584, feed_forward=18_944, heads=28, heads_kv=4), 140.01),
    (header(embedding=1024, feed_forward=3072, heads=16, heads_kv=8), 27.01),
    (header(embedding=1024, feed_forward=1024, heads=32, heads_kv=8), 25.01),
    (
        header(
            architecture="qwen3moe",
            embedding=2048,
            feed_forward=6144,
            heads=32,
            heads_kv=4,
            expert_count=128,
            expert_used_count=8,
            expert_feed_forward_length=768,
        ),
        89.01,
    ),
]


@pytest.mark.parametrize(("model", "reported_mib"), COMPUTE)
def test_the_compute_buffer_is_what_llama_cpp_reports(model, reported_mib):
    chosen = LoadSettings(context_length=1024, micro_batch=512, kv_type=KVType.F16)
    scratch = 512 * max(model.feed_forward, model.heads * model.key_length, model.embedding)
    buffer = cost_model.compute_bytes(model, chosen) - scratch * 292 / 256
    assert buffer / MIB == pytest.approx(reported_mib, abs=0.02)


def test_two_masks_for_a_model_with_a_sliding_window():
    chosen = LoadSettings(context_length=8192, micro_batch=512, kv_type=KVType.F16)
    windowed = header(architecture="gemma3", attention__sliding_window=512)
    more = cost_model.compute_bytes(windowed, chosen) - cost_model.compute_bytes(header(), chosen)
    assert more == 512 * 8192 * 2


def test_a_vocabulary_costs_runtime():
    small, large = (billed(header(vocabulary=n), LoadSettings()) for n in (49_152, 151_936))
    assert 25 < line(large, "runtime") - line(small, "runtime") < 32


def test_the_callers_process_is_on_the_bill():
    with_window, without = (
        plan(header(), LoadSettings(), ProcessOverhead(60.0, mib)).bill for mib in (200.0, 0.0)
    )
    assert with_window.total_mib - without.total_mib == pytest.approx(200.0)


@given(headers, load_settings, st.integers(256, 131_072), st.integers(16, 2048))
def test_a_longer_context_or_a_larger_batch_never_costs_less(model, chosen, context, batch):
    more = chosen.model_copy(
        update={
            "context_length": max(context, chosen.context_length),
            "micro_batch": max(batch, chosen.micro_batch),
        }
    )
    # With swap, what is too much to fit streams, and may then take less than what just fits.
    dearer, cheaper = (billed(model, whole(each)).total_mib for each in (more, chosen))
    assert dearer >= cheaper
    dearer, cheaper = (beside_weights_mib(billed(model, each)) for each in (more, chosen))
    assert dearer >= cheaper


@given(headers, load_settings)
def test_a_narrower_context_precision_never_costs_more(model, chosen):
    precisions = [
        chosen.model_copy(update={"kv_type": kv}) for kv in (KVType.F16, KVType.Q8_0, KVType.Q4_0)
    ]
    totals = [billed(model, whole(each)).total_mib for each in precisions]
    beside = [beside_weights_mib(billed(model, each)) for each in precisions]
    for f16, q8_0, q4_0 in (totals, beside):
        # The rotation matrices of a quantised context are 0.1 MiB; a tiny cache saves less.
        assert q8_0 <= f16 + 0.1
        assert q4_0 <= q8_0


@given(headers, load_settings)
def test_advice_fits(model, chosen):
    advice = advise(model, chosen, OVERHEAD)
    assert billed(model, advice.settings).fits
    assert (advice.text == "") == billed(model, chosen).fits


@given(headers, load_settings)
def test_advice_exceeds_the_budget_only_where_its_text_names_a_larger_one(model, chosen):
    advice = advise(model, chosen, OVERHEAD)
    if advice.settings.memory_budget != chosen.memory_budget:
        with_swap = chosen.model_copy(update={"swap_enabled": True})
        needed = math.ceil(billed(model, with_swap).total_mib)
        needs = "It needs" if chosen.swap_enabled else "It has to run from the disk, with"
        assert advice.text.startswith(f"{needs} a memory budget of at least {needed:,} MiB.")
        named = [int(each.replace(",", "")) for each in re.findall(r"([\d,]+) MiB", advice.text)]
        assert chosen.memory_budget < min(named)
    else:
        assert advice.settings.context_length <= chosen.context_length
        assert advice.settings.micro_batch <= chosen.micro_batch
        if advice.settings.kv_type is not chosen.kv_type:
            assert WIDTHS[advice.settings.kv_type] < WIDTHS.get(chosen.kv_type, WIDTHS[KVType.F16])


def test_where_no_setting_fits_the_least_budget_of_all_changes_together_is_named():
    model = header()
    asked = LoadSettings(context_length=8192, memory_budget=256)
    text = advise(model, asked, OVERHEAD).text
    least = int(re.findall(r"([\d,]+) MiB", text)[1].replace(",", ""))
    assert "a batch of 64, a context precision of q4_0, a context of 512 tokens" in text
    small = {"micro_batch": 64, "kv_type": KVType.Q4_0, "context_length": 512, "swap_enabled": True}
    for budget_mib, is_enough in ((least, True), (least - 1, False)):
        settings = asked.model_copy(update={**small, "memory_budget": budget_mib})
        assert billed(model, settings).fits == is_enough


def test_the_advice_has_the_punctuation_of_its_language():
    use_language("zh_CN")
    text = advise(header(), LoadSettings(context_length=8192, memory_budget=256), OVERHEAD).text
    assert "。 " not in text
    assert ", " not in text
    assert "批处理大小 64、上下文精度 q4_0" in text


def advice_under(model, chosen, saved_mib):
    """The advice when the budget is `saved_mib` less than what is asked for needs."""
    total = billed(model, chosen).total_mib
    short = chosen.model_copy(update={"memory_budget": math.floor(total - saved_mib)})
    return advise(model, short, OVERHEAD)


ASKED = LoadSettings(context_length=8192, micro_batch=512)  # KV 224 MiB, batch about 80 MiB


@pytest.mark.parametrize(
    ("saved_mib", "text"),
    [
        (20, "It fits with a batch of 256."),
        (65, "It fits with a batch of 64."),
        (90, "It fits with a context precision of q8_0."),
        (130, "It fits with a batch of 256, a context precision of q8_0."),
        (170, "It fits with a batch of 64, a context precision of q8_0."),
    ],
)
def test_the_batch_gives_way_first_and_then_the_precision(saved_mib, text):
    assert advice_under(header(), ASKED, saved_mib).text == text


def test_the_context_gives_way_before_its_precision_does_so_again():
    advice = advice_under(header(), ASKED, 230)
    assert advice.settings.kv_type is KVType.Q8_0
    assert 512 <= advice.settings.context_length < 8192
    assert advice.settings.context_length % 256 == 0
    longer = advice.settings.model_copy(
        update={"context_length": advice.settings.context_length + 256}
    )
    assert not billed(header(), longer).fits


def test_a_refusal_names_the_numbers_and_the_way_out():
    chosen = LoadSettings(memory_budget=512)
    with pytest.raises(BudgetTooSmall) as caught:
        require_fit(header(), chosen, OVERHEAD)
    needed = math.ceil(billed(header(), chosen).total_mib)
    what, why, todo = caught.value.sentences()
    assert what == f"{header().name} needs {needed:,} MiB and the memory budget is 512 MiB."
    assert sum(int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", why)) == needed
    assert todo == "It fits with weights read from the disk."
    assert caught.value.exit_code == 3


def test_more_context_than_the_model_was_trained_for_is_refused():
    with pytest.raises(ContextTooLarge, match=r"Set the context to 2,048 tokens or less\."):
        require_fit(header(context_trained=2048), LoadSettings(context_length=4096), OVERHEAD)


# ---- an automatic context -----------------------------------------------------------------------


@given(headers, load_settings, st.booleans())
def test_an_automatic_context_fits_wherever_any_context_does(model, settings, swap):
    asked = settings.model_copy(update={"context_length": 0, "swap_enabled": swap})
    found = with_context(model, asked, OVERHEAD)
    trained = model.context_trained or 4096
    least = asked.model_copy(update={"context_length": min(512, trained)})
    assert found.context_length <= trained
    assert billed(model, found).fits == billed(model, least).fits


def test_an_automatic_context_takes_a_quarter_of_the_budget_at_most() -> None:
    model = header(context_trained=131_072)
    bill = billed(model, LoadSettings(memory_budget=8192))
    assert 4096 < bill.context_length < 131_072
    assert 0.24 * 8192 < bill.mib_of(BillItem.KV_CACHE) <= 0.25 * 8192


def test_no_weight_leaves_memory_for_a_longer_automatic_context() -> None:
    model = header(context_trained=131_072)
    whole = billed(model, LoadSettings(context_length=4096, memory_budget=65_536))
    tight = math.ceil(whole.total_mib) + 1
    settings = LoadSettings(memory_budget=tight, swap_enabled=True)
    assert not billed(model, settings).streams


def test_advice_for_an_automatic_context_keeps_it_automatic() -> None:
    model = header(context_trained=8192)
    tried = LoadSettings(memory_budget=256, micro_batch=1024)
    assert advise(model, tried, OVERHEAD).settings.context_length == 0
