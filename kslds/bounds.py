"""Where a row lies on its recording: boundaries in ms, by the recording's own timestamps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from kslds.corpora import END, Annotation
from kslds.corpora.times import Time, parse_time
from kslds.probe import frame_ms
from kslds.schema import Recording, Timing


class Problem(Exception):
    """A row that ends in the ledger of dropped rows."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Bounds:
    """``[start_ms, end_ms)``, and codes and messages of what should be known of it."""

    start_ms: int
    end_ms: int
    notes: tuple[tuple[str, str], ...]


def _time(text: str | None, unit: str, column: str) -> Time:
    if text is None:
        raise Problem("K111", f"column {column!r}: the cell is empty")
    try:
        return parse_time(text, unit=unit)
    except ValueError as error:
        raise Problem("K111", f"column {column!r}: {error}") from error


def resolve(row: Annotation, *, recording: Recording, timing: Timing, rounding: str) -> Bounds:
    """A row's boundaries in ms, by the recording's own timestamps.

    Raises:
        Problem: A boundary is no time, lies outside the recording, or the two are not in order.
    """
    base = Fraction(recording.time_base_num, recording.time_base_den)
    start = _time(row.start, row.unit, row.start_column)
    if row.end == END:
        last = recording.end_ms if start.frame is None else recording.num_frames
        end = Time(ms=last) if start.frame is None else Time(frame=last)
    else:
        end = _time(row.end, row.unit, row.end_column)
    notes: list[tuple[str, str]] = []
    for column, text, time in (
        (row.start_column, row.start, start),
        (row.end_column, row.end, end),
    ):
        if time.decimal_comma:
            notes.append(("K116", f"column {column!r}: {text!r} was read with a decimal comma"))

    if start.frame is not None and end.frame is not None:
        a, b, limit, tolerance, what = start.frame, end.frame, recording.num_frames, 1, "frame"
    else:
        a, b, limit = start.ms or 0, end.ms or 0, recording.end_ms
        tolerance, what = -(-1000 * recording.avg_fps_den // recording.avg_fps_num), "ms"
    if b < a:
        raise Problem("K112", f"the end ({row.end}) is before the start ({row.start})")
    if a == b:
        raise Problem("K113", f"start and end are both {row.start}")
    if a < -tolerance or b > limit + tolerance or a >= limit:
        code = "K117" if recording.damage and b > limit else "K114"
        if code == "K117":
            held = f"the damaged file holds {limit}"
        elif b <= limit + tolerance and a < limit:
            held = "the recording starts at 0"
        else:
            held = f"the recording ends at {limit}"
        raise Problem(code, f"[{a}, {b}) {what}: {held}")
    if a < 0 or b > limit:
        notes.append(("K115", f"[{a}, {b}) {what} was clipped to [{max(a, 0)}, {min(b, limit)})"))
        a, b = max(a, 0), min(b, limit)
    if what == "frame":
        pts = timing.pts
        a = frame_ms(pts[a], base)
        b = frame_ms(pts[b], base) if b < len(pts) else recording.end_ms
    elif rounding == "any":
        a, b = (_rounded_down(t, timing=timing, base=base) for t in (a, b))
    return Bounds(a, b, tuple(notes))


def _rounded_down(ms: int, *, timing: Timing, base: Fraction) -> int:
    """The time rounded down of the frame that `ms` is rounded up of; else `ms`.

    ELAN steps to ``ceil`` of a frame's time, and others write seconds rounded to three places.
    Such a boundary lies up to a ms behind the frame it was made for, which the rule of time
    (``start_ms <= floor(1000 * pts)``) would leave out.
    """
    ticks = ms / (1000 * base)
    place = bisect_left(timing.pts, ticks) - 1  # the last frame that starts before
    if place >= 0 and frame_ms(timing.pts[place], base) == ms - 1:
        return ms - 1
    return ms


def stated_duration(row: Annotation, recording: Recording) -> Iterator[tuple[str, str]]:
    """Says so where the collection states another duration than the recording has."""
    if row.duration_ms is None:
        return
    apart = abs(row.duration_ms - recording.end_ms)
    over_two_frames = apart * recording.avg_fps_num > 2000 * recording.avg_fps_den
    if over_two_frames and 100 * apart > 3 * recording.end_ms:
        stated = f"the metadata state {row.duration_ms} ms, the recording has {recording.end_ms} ms"
        yield "K131", stated
