"""A clip in frames: which frames of a recording belong to a span, and how they are fitted.

Arithmetic only; nothing is opened or decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from kslds import video
from kslds.errors import RecipeError
from kslds.schema import Clip, Recording, Segment, Timing

_COARSE = 3
"""How many pixels, across and down, become one where `is_coarse`."""


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """The `[clips]` part of a recipe.

    Raises:
        RecipeError: A value is out of range.
    """

    size: int = 224
    fit: video.Fit = "pad"
    margin_ms: tuple[int, int] = (0, 0)
    fps: str | int | float = "source"
    crop: str | tuple[int, int, int, int] = "none"
    """Cut out before scaling: left, top, width and height in displayed pixels, or ``inset``, the
    interpreter's box that `kslds.inset` finds in each recording."""

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096 or self.size % 2:
            raise RecipeError(
                f"[clips] size = {self.size}: expected an even number from 16 to 4096."
            )
        if self.fit not in video.FITS:
            raise RecipeError(f"[clips] fit = {self.fit!r} is not one of {', '.join(video.FITS)}.")
        if len(self.margin_ms) != 2 or min(self.margin_ms) < 0 or max(self.margin_ms) > 60_000:
            raise RecipeError(
                f"[clips] margin_ms = {list(self.margin_ms)}: expected two numbers of ms, before "
                "and after, from 0 to 60000."
            )
        if isinstance(self.crop, str):
            if self.crop not in ("none", "inset"):
                raise RecipeError(
                    f"[clips] crop = {self.crop!r}: expected 'none', 'inset' or four numbers of "
                    "pixels, [left, top, width, height]."
                )
        elif min(self.crop[:2]) < 0 or min(self.crop[2:]) < 16:
            raise RecipeError(
                f"[clips] crop = {list(self.crop)}: expected [left, top, width, height], the "
                "latter two at least 16."
            )
        if isinstance(self.fps, str):
            if self.fps != "source":
                raise RecipeError(f"[clips] fps = {self.fps!r}: expected 'source' or a number.")
        elif not 1 <= self.fps <= 240:
            raise RecipeError(f"[clips] fps = {self.fps}: expected 1 to 240.")

    @property
    def rate(self) -> Fraction | None:
        """Frames per second to resample to; None keeps every source frame."""
        if isinstance(self.fps, str):
            return None
        return Fraction(str(self.fps)).limit_denominator(10_000)


def resampled(pts: Sequence[int], *, span_end: int, base: Fraction, rate: Fraction) -> list[int]:
    """Which of the span's frames is on show at 0, 1/rate, 2/rate … seconds after its first."""
    count = max(1, int((span_end - pts[0]) * base * rate))
    ticks = [pts[0] + int(k / rate / base) for k in range(count)]
    return [int(i) for i in np.searchsorted(np.asarray(pts), ticks, side="right") - 1]


def span_end_pts(timing: Timing, recording: Recording, last: int) -> int:
    """Timestamp at which the last frame of a span ends."""
    if last + 1 < len(timing.pts):
        return timing.pts[last + 1]
    base = Fraction(recording.time_base_num, recording.time_base_den)
    return max(timing.pts[last] + 1, int(Fraction(recording.end_ms, 1000) / base))


def geometry(recording: Recording, options: ClipOptions) -> video.Geometry | None:
    """How a recording's pictures are fitted; None where the box does not lie in them."""
    width, height = recording.display_width, recording.display_height
    box = recording.inset if options.crop == "inset" else options.crop
    if box is None:
        return None
    if isinstance(box, str):
        return video.geometry(width, height, size=options.size, fit=options.fit)
    left, top, w, h = box
    if left + w > width or top + h > height:
        return None
    across, down = _upright(recording)
    scale_x, scale_y = Fraction(across, width), Fraction(down, height)
    inside = (
        round(left * scale_x),
        round(top * scale_y),
        max(1, round(w * scale_x)),
        max(1, round(h * scale_y)),
    )
    return video.geometry(w, h, size=options.size, fit=options.fit, box=inside)


def _upright(recording: Recording) -> tuple[int, int]:
    """Width and height of the upright picture, in stored pixels."""
    width, height = recording.width, recording.height
    return (height, width) if recording.rotation in (90, 270) else (width, height)


def is_coarse(recording: Recording, shape: video.Geometry) -> bool:
    """Does it hardly show when frames to which no other refers keep the edges of their blocks?

    Where three pixels or more become one, across and down, and of H.264 only: what belongs to
    smoothing in HEVC also alters brightness (docs/performance.md).
    """
    across, down = _upright(recording) if shape.box is None else shape.box[2:]
    shrinks = min(across / shape.scaled[0], down / shape.scaled[1])
    return recording.codec == "h264" and shrinks >= _COARSE


def plan(
    segment: Segment, *, recording: Recording, timing: Timing, pts_ms: Any, options: ClipOptions
) -> Clip | None:
    """The clip that a segment becomes; None where no frame starts in its span.

    Frame *i* belongs to a span when ``start_ms <= floor(1000 * pts_i) < end_ms``.

    Args:
        segment: Its boundaries are widened by the margins, up to the recording's edges.
        recording: The recording.
        timing: Its timestamps.
        pts_ms: ``floor(1000 * pts)`` of each, an ascending array.
        options: Margins and rate.
    """
    before, after = options.margin_ms
    start_ms = max(0, segment.start_ms - before)
    end_ms = min(recording.end_ms, segment.end_ms + after)
    first, stop = (int(i) for i in np.searchsorted(pts_ms, [start_ms, end_ms]))
    if first >= stop:
        return None
    base = Fraction(recording.time_base_num, recording.time_base_den)
    shown = timing.pts[first:stop]
    end = span_end_pts(timing, recording, stop - 1)
    rate, count = options.rate, stop - first
    if rate is not None:
        count = len(resampled(shown, span_end=end, base=base, rate=rate))
    fps = rate or (count / ((end - shown[0]) * base)).limit_denominator(100_000)
    return Clip(
        clip_id=segment.clip_id,
        segment_id=segment.segment_id,
        recording_id=segment.recording_id,
        source_file=recording.source_file,
        gloss_id=segment.gloss_id,
        emotion=segment.emotion,
        sentence=segment.sentence,
        translation=segment.translation,
        translation_kk=segment.translation_kk,
        signer_id=segment.signer_id,
        published_split=segment.published_split,
        start_ms=start_ms,
        end_ms=end_ms,
        first_frame=first,
        last_frame=stop - 1,
        first_pts=shown[0],
        last_pts=shown[-1],
        num_frames=count,
        fps_num=fps.numerator,
        fps_den=fps.denominator,
        resampled=rate is not None,
    )
