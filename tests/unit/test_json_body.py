"""Strict JSON bodies: what is accepted to the last digit, and the sentence for everything refused."""

import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest, MalformedBody
from shared.json_body import parse_body

texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


def refusal(raw: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(raw)
    (problem,) = caught.value.problems
    assert problem.field == ""
    assert caught.value.message == f"- {problem.description}\n"
    return problem.description


def complaint(raw: bytes) -> str:
    with pytest.raises(MalformedBody) as caught:
        parse_body(raw)
    return caught.value.message


@given(st.dictionaries(texts, values, max_size=5))
def test_whatever_json_can_say_comes_back_unchanged(body: dict[str, object]) -> None:
    assert parse_body(json.dumps(body).encode()) == body
    assert parse_body(json.dumps(body, ensure_ascii=False).encode()) == body


@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_end_in_an_object_or_in_one_of_two_refusals(raw: bytes) -> None:
    with suppress(InvalidRequest, MalformedBody):
        assert isinstance(parse_body(raw), dict)


@pytest.mark.parametrize("raw", [b"", b" \n", b"null", b"[]", b'"text"', b"7", b"true"])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    assert refusal(raw) == "body must be a JSON object"


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"a":1,}', "(line 1, column 8)"),
        (b'{"a":\n  b}', "(line 2, column 3)"),
        (b"{} {}", "(line 1, column 5)"),
        (b"{/* why */}", "(line 1, column 2)"),
        (b"{'a': 1}", "(line 1, column 2)"),
        (b'{"a": 01}', "(line 1, column 8)"),
        (b'{"a": "b', "(line 1, column 9)"),
    ],
)
def test_a_syntax_error_is_reported_with_its_place(raw: bytes, place: str) -> None:
    assert complaint(raw).startswith("body is not valid JSON: ")
    assert complaint(raw).endswith(place)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_for_numbers_json_does_not_have_are_refused(word: str) -> None:
    assert refusal(f'{{"a": {word}}}'.encode()) == f"{word.lstrip('-')} is not a JSON number"


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000])
def test_a_number_out_of_range_is_refused(number: str) -> None:
    assert refusal(f'{{"a": {number}}}'.encode()) == "a number is out of range"


def test_twenty_digits_are_kept_exactly() -> None:
    assert parse_body(b'{"a": 12345678901234567890}') == {"a": 12345678901234567890}


@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]")])
def test_sixty_four_levels_are_accepted_and_one_more_is_not(opening: bytes, closing: bytes) -> None:
    assert parse_body(b'{"a":' + opening * 63 + b"1" * (opening != b"[") + closing * 63 + b"}")
    assert refusal(b'{"a":' + opening * 64 + b"1" + closing * 64 + b"}") == "body is nested too deeply (limit 64)"


@pytest.mark.parametrize("depth", [900, 100_000])
def test_nesting_beyond_the_interpreters_own_limit_is_refused_too(depth: int) -> None:
    assert refusal(b'{"a":' * depth + b"1" + b"}" * depth) == "body is nested too deeply (limit 64)"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":[' + b"0," * 8_000_000 + b"0]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(1_000_000)) + b"}",
        b'{"a":[' + b",".join([b"[[0]]"] * 40_000) + b"]}",
        b'{"a":[' + b",".join([b"0"] * 100_000) + b"]}",
    ],
    ids=["eight million zeros", "a million keys", "many small lists", "one too many"],
)
def test_too_many_values_are_refused_before_they_cost_much(raw: bytes) -> None:
    tracemalloc.start()
    try:
        assert refusal(raw) == "body has too many values (limit 100,000)"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 40 * 2**20, "all of it was built first"


def test_how_many_values_are_too_many_can_be_said() -> None:
    many = json.dumps({"input": list(range(150_000))}).encode()
    assert len(parse_body(many, values_max=200_000)["input"]) == 150_000
    with pytest.raises(InvalidRequest, match=r"limit 140,000"):
        parse_body(many, values_max=140_000)


def test_a_long_text_full_of_commas_and_brackets_is_one_value() -> None:
    text = '[,{"\\' * 300_000
    assert parse_body(json.dumps({"prompt": text}).encode()) == {"prompt": text}


@pytest.mark.parametrize(
    "raw",
    [b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b"\xef\xbb\xbf{}", "{}".encode("utf-16"), "{}".encode("utf-16-be")],
)
def test_a_body_in_another_encoding_is_refused(raw: bytes) -> None:
    assert complaint(raw) == "body must be UTF-8 without a byte order mark"


@pytest.mark.parametrize("text", [r"\ud800", r"\ud800 and more text", r"\udc00", r"\ud800\ud800"])
def test_half_of_a_surrogate_pair_is_refused(text: str) -> None:
    assert "utf-16 surrogate pair" in complaint(f'{{"a": "{text}"}}'.encode())


@pytest.mark.parametrize("raw", [rb'{"a": "\u0000"}', rb'{"\u0000": 1}', rb'{"a": [{"b": ["x\u0000"]}]}'])
def test_nul_is_refused_in_strings_and_keys_at_any_depth(raw: bytes) -> None:
    assert refusal(raw) == "NUL is not allowed"


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert parse_body(b'{"a": 1, "a": 2}') == {"a": 2}


def test_keys_with_a_meaning_elsewhere_are_plain_data() -> None:
    assert parse_body(b'{"__proto__": 1, "__class__": 2}') == {"__proto__": 1, "__class__": 2}
