"""What reads foreign text takes the time of the text's length."""

import pytest

from support import growing_inputs, growth

pytestmark = [pytest.mark.integration, pytest.mark.slow]


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
