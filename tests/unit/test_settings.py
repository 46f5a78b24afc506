"""Settings come from the environment, and what cannot be is refused by name."""

from __future__ import annotations

import pytest

from engine.settings import Settings, SettingsError, from_environment


def test_nothing_set_gives_the_defaults() -> None:
    assert from_environment({}) == Settings()


def test_each_field_has_a_variable_in_its_own_type() -> None:
    found = from_environment(
        {"HOLDFAST_REDIS_URL": "redis://a/0", "HOLDFAST_SHARDS": "8", "HOLDFAST_ACK_TIMEOUT_S": "0.5", "OTHER": "x"}
    )
    assert found == Settings(redis_url="redis://a/0", shards=8, ack_timeout_s=0.5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HOLDFAST_SHARDS", "many"),
        ("HOLDFAST_SHARDS", "0"),
        ("HOLDFAST_SHARDS", "16385"),
        ("HOLDFAST_SHARDS", "1.5"),
        ("HOLDFAST_ACK_TIMEOUT_S", "0"),
        ("HOLDFAST_ACK_TIMEOUT_S", "nan"),
        ("HOLDFAST_ACK_TIMEOUT_S", "inf"),
        ("HOLDFAST_BODY_BYTES_MAX", "-1"),
        ("HOLDFAST_RATE_LIMIT", "many"),
        ("HOLDFAST_RATE_LIMIT", "0/s"),
        ("HOLDFAST_AUTH_FAILURE_LIMIT", "100/h"),
        ("HOLDFAST_RATE_LIMIT", "100/h"),
        ("HOLDFAST_CONNECTIONS_MAX", "0"),
        ("HOLDFAST_CART_LISTED_S", ""),
        ("HOLDFAST_REDIS_APPENDFSYNC", "sometimes"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_variable(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        from_environment({name: text})
    assert "\n" not in str(caught.value)
