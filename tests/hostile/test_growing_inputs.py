"""What reads foreign text takes the time of the text's length."""

import pytest

from support import growing_inputs, growth

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Expressions that are not linear, and why they may be: their texts are our own, or short.
OUR_OWN = {
    "deepseek_r1.engine.llama.binding.library",  # lines of llama.cpp's log
    "r1desk.shell.help_dialogs",  # the guides
}
LONGEST_TEXTS = {"deepseek_r1.documents.plain_text": 4096}  # bytes: a page's head

MODULES = [
    name
    for name in growth.modules("deepseek_r1", "r1desk")
    if not name.endswith("__main__") and name not in {*OUR_OWN, "deepseek_r1.native.streaming"}
]


def test_every_expression_of_the_application_is_linear() -> None:
    found = growth.expressions(MODULES)
    assert len(found) > 100
    slow = []
    for each in found:
        most = LONGEST_TEXTS.get(each.module, 0)
        for attack in growth.attacks(each.pattern):
            power = growth.exponent_of(each, attack)
            if power > growth.MOST_EXPONENT:
                if most and growth.seconds(lambda: each.run(attack(most)), 3) < growth.ENOUGH_S:  # noqa: B023
                    continue
                slow.append(f"{each.module}: {each.pattern.pattern!r}: {attack(40)!r}: {power:.1f}")
                break
    assert not slow


def test_an_expression_with_a_quadratic_part_is_found() -> None:
    for pattern in (r"#{1,6} +(.+?) *#* *$", r"[.!?]+(?=\s)", r"<!--.*?-->"):
        found = growth.expressions_of(pattern)
        powers = (growth.exponent_of(found, each) for each in growth.attacks(found.pattern))
        assert any(power > growth.MOST_EXPONENT for power in powers), pattern


@pytest.mark.parametrize(
    "kind",
    [
        growing_inputs.documents,
        growing_inputs.requests,
        growing_inputs.answers,
        growing_inputs.window_texts,
    ],
)
def test_every_reader_of_foreign_text_is_linear(kind):
    slow = []
    for each in kind():
        power = growth.exponent(lambda n: each.read(each.make(n)), 1000, each.most)  # noqa: B023
        if power > growth.MOST_EXPONENT:
            slow.append(f"{each.name}: {power:.1f}")
    assert not slow
