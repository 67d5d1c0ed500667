"""Reading the time of a boundary from text, exactly.

Text becomes an integer through `Fraction`, never through a float, and fractions
of a millisecond are cut off, not rounded. A frame belongs to a span when
``start_ms <= floor(1000 * pts) < end_ms``, so a tool that writes the time of a
frame with more digits than milliseconds has (frame 61 at 30 fps: ``2.0333333`` s)
means the millisecond below (2033). Rounding up, as ``2.0336667`` to 2034, would put
the boundary behind the very frame it was written for.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from kslds.corpora import UNITS

_LIMIT = 10 * 24 * 60 * 60 * 1000
"""No boundary lies further out, in ms (ten days) or in frames: what does is a mistake."""

_MAX_CHARS = 64
_NUMBER = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]*)(?:(?P<mark>[.,])(?P<fraction>[0-9]+))?")
_TIMECODE = re.compile(
    r"(?P<sign>-?)(?:(?P<hours>[0-9]+):)?(?P<minutes>[0-9]+):"
    r"(?P<whole>[0-9]{1,2})(?:(?P<mark>[.,])(?P<fraction>[0-9]+))?"
)

_EXPECTED = {
    "ms": "milliseconds such as 1500",
    "s": "seconds such as 2.5",
    "frame": "a frame number such as 75, counted from 0",
    "timecode": "HH:MM:SS.mmm such as 00:01:02.500",
}


@dataclass(frozen=True, kw_only=True)
class Time:
    """A boundary: exactly one of `ms` and `frame` is set."""

    ms: int | None = None
    """Milliseconds, rounded down."""
    frame: int | None = None
    """Frame number, as written."""
    decimal_comma: bool = False
    """The text has a comma where a point was expected."""


def parse_time(text: str, *, unit: str) -> Time:
    """Read one boundary.

    Negative values pass: whether they lie outside the recording is for the caller to say.
    A timecode is ``[hours:]minutes:seconds[.fraction]``; minutes run past 59 only where no
    hours are written. Frame numbers may carry zeros after the point (``76.0``).

    Args:
        text: The time as written; surrounding blanks do not matter.
        unit: One of `kslds.corpora.UNITS`.

    Raises:
        ValueError: The text is not a time in this unit, or is more than ten days
            (864,000,000 frames) away from zero; the message says what was expected.
    """
    if unit not in UNITS:
        raise ValueError(f"the unit {unit[:40]!r} is not one of {', '.join(UNITS)}")
    text = text.strip()
    wrong = ValueError(f"{text[:40]!r} is not a time in {unit}; expected {_EXPECTED[unit]}")
    match = (_TIMECODE if unit == "timecode" else _NUMBER).fullmatch(text)
    if match is None or len(text) > _MAX_CHARS:
        raise wrong
    whole, fraction = match["whole"], match["fraction"]
    if not whole and not fraction:
        raise wrong
    comma = match["mark"] == ","
    if comma and len(fraction) == 3 and unit in ("ms", "frame"):
        raise ValueError(
            f"{text!r} has either a decimal comma or a mark between thousands; "
            f"expected {_EXPECTED[unit]}"
        )
    value = Fraction(f"{whole or 0}.{fraction or 0}")
    if unit == "timecode":
        hours, minutes = match["hours"], int(match["minutes"])
        if value >= 60 or (hours and minutes >= 60):
            raise wrong
        value += 60 * minutes + 3600 * int(hours or 0)
    if match["sign"]:
        value = -value
    if unit in ("s", "timecode"):
        value *= 1000
    if abs(value) > _LIMIT or (unit == "frame" and value.denominator != 1):
        raise wrong
    if unit == "frame":
        return Time(frame=int(value), decimal_comma=comma)
    return Time(ms=math.floor(value), decimal_comma=comma)
