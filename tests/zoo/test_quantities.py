"""Sizes and times as people write them."""

from __future__ import annotations

import pytest

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.quantities import (
    parse_bytes,
    parse_milliseconds,
    parse_seconds,
    parse_timesteps,
    rows_in_words,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("300KB", 300_000),
        ("300kB", 300_000),
        ("300 kb", 300_000),
        ("1.5MB", 1_500_000),
        (".5mb", 500_000),
        ("64KiB", 65_536),
        ("2mib", 2_097_152),
        ("512B", 512),
        ("4_000_000", 4_000_000),
        (123, 123),
        ("0.3KiB", 307),  # 307.2
        ("0.0011MB", 1100),  # in floats 1100.0000000000002
    ],
)
def test_a_size_is_a_number_of_bytes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2ms", 2.0),
        ("2", 2.0),
        (0.5, 0.5),
        ("250us", 0.25),
        ("250 µs", 0.25),
        ("250\N{GREEK SMALL LETTER MU}s", 0.25),
        ("1.5 S", 1500.0),
    ],
)
def test_a_time_is_a_number_of_milliseconds(text, time):
    assert parse_milliseconds(text) == time


@pytest.mark.parametrize("parse", [parse_bytes, parse_milliseconds, parse_seconds])
@pytest.mark.parametrize(
    "text", ["", "ms", "KB", "-1", "0", "1 2", "nan", "inf", "1e3", True, None]
)
def test_what_is_no_quantity_is_refused_with_what_is(parse, text):
    with pytest.raises(ConfigError, match=r"a number above 0 and a unit, such as") as caught:
        parse(text)
    assert f"Received: {text!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("parse", "text", "known"),
    [
        (parse_bytes, "3GB", "'GB'. Known: 'B', 'kB', 'MB', 'KiB', 'MiB'."),
        (parse_bytes, "3ms", "'ms'. Known: 'B', 'kB'"),
        (parse_milliseconds, "3MB", "'MB'. Known: 'us', 'ms', 's'."),
    ],
)
def test_an_unknown_unit_is_answered_with_those_that_are_known(parse, text, known):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert f"Unknown unit: {known}" in str(caught.value)


@pytest.mark.parametrize("text", ["1.5", "0.4B", "0.0001KB"])
def test_a_part_of_a_byte_is_no_size(text):
    with pytest.raises(ConfigError, match=r"whole number"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("80", 80),
        ("left=20,right=30", {"left": 20, "right": 30}),
        ("line:1=8, line:2=40, right=3", {"line": {1: 8, 2: 40}, "right": 3}),
        ("a:b=4", {"a:b": 4}),
    ],
)
def test_timesteps_of_all_inputs_or_of_each(text, sizes):
    assert parse_timesteps(text) == sizes


@pytest.mark.parametrize("text", ["", "many", "left", "left=", "left=20;30", "4.5", "a=1,b"])
def test_timesteps_that_are_none(text):
    with pytest.raises(ConfigError, match="left=20,right=30"):
        parse_timesteps(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("30 min", 1800), ("1.5h", 5400), ("90S", 90), ("45", 45), (0.5, 0.5)],
)
def test_a_time_to_wait_is_a_number_of_seconds(text, seconds):
    assert parse_seconds(text) == seconds


def test_a_minute_is_no_unit_of_a_call():
    with pytest.raises(ConfigError, match=r"Unknown unit: 'min'\. Known: 'us', 'ms', 's'"):
        parse_milliseconds("2min")


def test_rows_are_counted_in_words_without_the_parts_that_there_are_not():
    counts = {"train": 1200, "validation": 0, "test": 30}
    assert rows_in_words(counts) == "1,200 rows to train on, 30 rows to test"
    assert rows_in_words({}) == ""
