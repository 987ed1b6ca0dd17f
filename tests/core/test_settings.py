"""Settings are declared once, completely."""

import pytest
from pydantic import ValidationError

from deepseek_r1.core.settings import (
    AppliesWhen,
    LoadSettings,
    SamplingOptions,
    SamplingSettings,
    SettingInfo,
)

ALL = [(model, key) for model in (LoadSettings, SamplingSettings) for key in model.model_fields]


@pytest.mark.parametrize(("model", "key"), ALL, ids=str)
def test_every_setting_has_texts_and_a_moment_when_it_applies(model, key):
    info = model.info(key)
    assert isinstance(info, SettingInfo)
    assert info.title
    assert info.help
    assert info.applies in AppliesWhen


def test_numbers_are_bounded() -> None:
    assert LoadSettings.bounds("context_length") == (0, 1_048_576)
    with pytest.raises(ValidationError):
        LoadSettings(context_length=-1)
    with pytest.raises(ValidationError):
        LoadSettings(context_length=255)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError):
        LoadSettings.model_validate({"memory_bugdet": 1})


def test_the_preset_is_deepseeks_advice_for_r1() -> None:
    preset = SamplingSettings()
    assert (preset.temperature, preset.top_p) == (0.6, 0.95)


def test_every_sampling_setting_is_a_keyword_of_the_library() -> None:
    assert set(SamplingOptions.__annotations__) | {"max_tokens"} == set(
        SamplingSettings.model_fields
    )
