import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kslds import probe
from kslds.corpora import UNITS
from kslds.corpora.times import Time, parse_time

TEN_DAYS_MS = 864_000_000


@pytest.mark.parametrize(
    ("text", "unit", "ms"),
    [
        ("1500", "ms", 1500),
        ("66.7", "ms", 66),
        ("-40", "ms", -40),
        ("-0.5", "ms", -1),
        (" 007 ", "ms", 7),
        ("0.35", "s", 350),
        ("2.033", "s", 2033),
        ("2.0333333", "s", 2033),
        ("2.0336667", "s", 2033),
        ("1.999999999", "s", 1999),
        (".5", "s", 500),
        ("0.29", "s", 290),  # 1000 * 0.29 is 289.99999999999994 in floats
        ("864000", "s", TEN_DAYS_MS),
        ("00:00:00.900", "timecode", 900),
        ("01:02:03.004", "timecode", 3_723_004),
        ("75:30", "timecode", 4_530_000),
        ("1:02.5", "timecode", 62_500),
        ("-0:01.25", "timecode", -1250),
        ("100:00:00", "timecode", 360_000_000),
    ],
)
def test_milliseconds(text: str, unit: str, ms: int) -> None:
    assert parse_time(text, unit=unit) == Time(ms=ms)


@pytest.mark.parametrize(
    ("text", "frame"), [("2", 2), ("2.0", 2), ("76.0", 76), ("0", 0), ("-1", -1), ("5.00", 5)]
)
def test_frames(text: str, frame: int) -> None:
    assert parse_time(text, unit="frame") == Time(frame=frame)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("2,5", "s", Time(ms=2500, decimal_comma=True)),
        ("2,500", "s", Time(ms=2500, decimal_comma=True)),
        ("66,7", "ms", Time(ms=66, decimal_comma=True)),
        ("76,0", "frame", Time(frame=76, decimal_comma=True)),
        ("00:00:01,500", "timecode", Time(ms=1500, decimal_comma=True)),
    ],
)
def test_decimal_comma_is_read_as_a_point_and_said_so(text: str, unit: str, expected: Time) -> None:
    assert parse_time(text, unit=unit) == expected


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-", ".", ",", "abc", "nan", "inf", "-inf", "1e3", "1e400", "+5", "--5", "5-",
        "1_000", "1 000", "1.2.3", "0x10", "٣", "１５", "²", "½", "1;2", "12:", ":12", "1:2:3:4",
        "9" * 30, "9" * 5000, "0" * 65, "1\n2",
    ],
)  # fmt: skip
def test_what_is_not_a_time_is_refused(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match=f"is not a time in {unit}; expected "):
        parse_time(text, unit=unit)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("2.5", "frame"),
        ("00:00:01", "ms"),
        ("00:00:01", "s"),
        ("12.5", "timecode"),
        ("90", "timecode"),
        ("00:60", "timecode"),
        ("00:00:60", "timecode"),
        ("01:60:00", "timecode"),
        ("00:00:01:12", "timecode"),
        ("00:00:01.", "timecode"),
        ("864000.001", "s"),
        ("-864000001", "ms"),
        ("864000001", "frame"),
        ("240:00:00.001", "timecode"),
    ],
)
def test_a_time_of_another_unit_or_out_of_range_is_refused(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match="is not a time in"):
        parse_time(text, unit=unit)


@pytest.mark.parametrize("unit", ["ms", "frame"])
def test_a_comma_before_three_digits_is_not_guessed_at(unit: str) -> None:
    with pytest.raises(ValueError, match="'1,500' has either a decimal comma or"):
        parse_time("1,500", unit=unit)


def test_messages_say_what_was_expected() -> None:
    with pytest.raises(
        ValueError, match=r"^'abc' is not a time in ms; expected milliseconds such as 1500$"
    ):
        parse_time("abc", unit="ms")
    with pytest.raises(ValueError, match=r"^the unit 'xs' is not one of ms, s, frame, timecode$"):
        parse_time("1", unit="xs")
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse_time("x" * 10_000, unit="s")
    assert len(str(error.value)) < 200


@given(st.integers(-TEN_DAYS_MS, TEN_DAYS_MS))
def test_integers_come_back(number: int) -> None:
    assert parse_time(str(number), unit="ms") == Time(ms=number)
    assert parse_time(str(number), unit="frame") == Time(frame=number)
    assert parse_time(f"{Decimal(number) / 1000:f}", unit="s") == Time(ms=number)


@given(st.decimals(min_value=-800_000, max_value=800_000, allow_nan=False, places=9))
def test_seconds_are_cut_to_milliseconds_exactly(seconds: Decimal) -> None:
    expected = math.floor(Fraction(seconds) * 1000)
    assert parse_time(f"{seconds:f}", unit="s").ms == expected
    assert parse_time(f"{seconds:f}".replace(".", ","), unit="s") == Time(
        ms=expected, decimal_comma=True
    )


@given(st.integers(0, TEN_DAYS_MS - 1))
def test_timecodes_agree_with_milliseconds(ms: int) -> None:
    seconds, rest = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    short = f"{minutes:02d}:{seconds:02d}.{rest:03d}"
    full = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{rest:03d}"
    assert parse_time(short, unit="timecode") == parse_time(full, unit="timecode") == Time(ms=ms)


@given(
    st.integers(0, 10**6),
    st.sampled_from([(30, 1), (25, 1), (30000, 1001), (24000, 1001), (359, 12), (1000, 33)]),
    st.integers(3, 12),
)
def test_a_frame_time_written_with_any_precision_keeps_its_frame(
    frame: int, rate: tuple[int, int], digits: int
) -> None:
    pts = Fraction(frame * rate[1], rate[0])
    text = f"{math.floor(pts * 10**digits) / Decimal(10**digits):f}"
    ms = parse_time(text, unit="s").ms
    assert ms == math.floor(1000 * pts)


@given(st.text(max_size=80), st.sampled_from(UNITS))
def test_any_text_is_a_time_in_range_or_a_value_error(text: str, unit: str) -> None:
    try:
        time = parse_time(text, unit=unit)
    except ValueError:
        return
    assert (time.ms is None) != (time.frame is None)
    assert abs(time.ms if time.ms is not None else time.frame or 0) <= TEN_DAYS_MS
    assert text.strip().isascii()


@given(
    st.lists(st.integers(-(2**61), 2**61), max_size=5),
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**31 - 1),
)
def test_milliseconds_of_many_are_those_of_each(pts: list[int], num: int, den: int) -> None:
    base = Fraction(num, den)
    each = [probe.frame_ms(p, base) for p in pts]
    if all(abs(ms) < 2**63 for ms in each):
        assert probe.all_ms(pts, base).tolist() == each
