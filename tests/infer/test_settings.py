"""Settings from the command line: strict, one line for what is wrong; addresses parsed."""

from __future__ import annotations

import pytest

from triptych.core.errors import ConfigError
from triptych.infer.settings import Address, EndpointSettings, LocalSettings, address_of, parse_settings


def test_overrides_are_typed_values_of_the_tree() -> None:
    said = ["temperature=null", "concurrency=64", "price_in=2.5", "price_out=1e1", "budget_usd=3.0", "cache=false"]
    found = parse_settings(said, model=EndpointSettings)
    assert (found.temperature, found.concurrency, found.price_in, found.price_out) == (None, 64, 2.5, 10.0)
    assert (found.budget_usd, found.cache, found.max_tokens) == (3.0, False, None)
    assert parse_settings([], model=LocalSettings) == LocalSettings()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("concurency=3", "Did you mean 'concurrency'"),
        ("concurrency=0", "greater than or equal to 1"),
        ("concurrency=many", "valid integer"),
        ("concurrency", "KEY=VALUE"),
        ("budget_usd=3.0", "price_in"),
        ("image_side_px={", "not YAML"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(said: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as told:
        parse_settings([said], model=EndpointSettings)
    assert "\n" not in str(told.value)


def test_an_address_is_a_url_and_a_models_name() -> None:
    assert address_of("http://localhost:8000/v1#Qwen/Qwen2-VL-2B") == Address(
        "http://localhost:8000/v1", "Qwen/Qwen2-VL-2B"
    )
    assert address_of("runs/demo/model") is None
    assert address_of("HuggingFaceTB/SmolVLM") is None


@pytest.mark.parametrize(
    "wrong",
    [
        *("http://localhost:8000/v1", "https://#m", "http://me:secret@host/v1#m", "http://host:many/v1#m"),
        *("http://host:99999/v1#m", "http://[::1/v1#m", "http://me:secret@[::1/v1#m", "http://a host/v1#m"),
        "http://host/v1?key=secret#m",
    ],
)
def test_an_address_that_says_no_model_or_says_a_key_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError) as told:
        address_of(wrong)
    assert "secret" not in str(told.value)
