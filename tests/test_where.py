"""Expressions that choose samples: what they mean, and that nothing else is run."""

from __future__ import annotations

import pytest

from kslds.errors import UsageError
from kslds.where import parse

ROWS = [
    {"key": "a", "emotion": "sad", "num_frames": 10, "signer_id": "s1", "gloss_id": "әке"},
    {"key": "b", "emotion": None, "num_frames": 20, "signer_id": "s2", "gloss_id": "әпке"},
    {"key": "c", "emotion": "glad", "num_frames": 30, "signer_id": "s1", "gloss_id": None},
]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("emotion == 'sad'", "a"),
        ("emotion != 'sad'", "bc"),
        ("emotion == None", "b"),
        ("emotion is not None", "ac"),
        ("num_frames >= 20", "bc"),
        ("10 < num_frames <= 30", "bc"),
        ("num_frames > -1.5", "abc"),
        ("signer_id in ['s1'] and not emotion == 'glad'", "a"),
        ("signer_id not in ('s1', 's3') or num_frames == 10", "ab"),
        ("emotion in ('sad', None)", "ab"),
        ("emotion > 'a'", "ac"),  # unknown is not more than anything
        ("gloss_id == '\N{CYRILLIC SMALL LETTER SCHWA}ке'", "a"),
        ("  (emotion == 'sad')\n", "a"),
        ("key == key", "abc"),
    ],
)
def test_rows_are_chosen(text: str, keys: str) -> None:
    test = parse(text, columns=ROWS[0])
    assert "".join(row["key"] for row in ROWS if test(row)) == keys


def test_text_is_compared_composed() -> None:
    test = parse("gloss_id == 'и\u0306'", columns=["gloss_id"])  # й in two code points
    assert test({"gloss_id": "й"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emotoin == 'sad'", "no field 'emotoin'; there are emotion, gloss_id, key"),
        ("emotion = 'sad'", "cannot be read"),
        ("", "cannot be read"),
        ("emotion", "not a comparison"),
        ("'a' == 'b'", "not a comparison"),
        ("emotion in 'sadness'", "not a comparison"),
        ("emotion == ['sad']", "not a comparison"),
        ("__import__('os').system('true') == 0", "not a comparison"),
        ("emotion.upper() == 'SAD'", "not a comparison"),
        ("num_frames + 1 == 11", "not a comparison"),
        ("emotion == f'{key}'", "not a comparison"),
        ("(lambda: 1)() == num_frames", "not a comparison"),
        ("num_frames == b'1'", "not a comparison"),
        ("(" * 500 + "key == 'a'" + ")" * 500, "cannot be read"),
        ("not " * 3000 + "key == 'a'", "expected an expression"),
        (7, "where=7"),
        ("key == '\0'", "cannot be read"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text, columns=ROWS[0])


def test_text_and_numbers_do_not_compare() -> None:
    test = parse("num_frames > 'a'", columns=ROWS[0])
    with pytest.raises(UsageError, match="10 and 'a' cannot be compared"):
        test(ROWS[0])
