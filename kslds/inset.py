"""Finding the interpreter's inset: the box in a corner of a broadcast in which somebody signs.

The border of an inset stays where it is while slides change, and inside it something always
moves, which ends at the border. Both are measured on some fifty frames, scaled down; of all boxes
between the strongest lasting lines, the one with the strongest border and the liveliest inside is
taken, if each half of the frames, every other one, gives it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from kslds.errors import MediaError
from kslds.video import open_media

Plane = npt.NDArray[np.float32]

_SAMPLES = 48
_MOST_SKIPPED = 2000  # frames behind a keyframe
_WIDTH = 320
_LINES = 14
_MIN_AREA, _MAX_AREA = 0.02, 0.6
_MAX_ASPECT = 2.2
_EDGE = 6.0  # grey levels of a lasting edge, of 255
_MIN_BORDER = 0.92  # the part of a side along which there must be one
_LIVELIER = 3.0
_RING = 4  # samples around a box in which little may move
_SAME = 2  # samples by which a box may differ when it is looked for again
_FEWEST = 6  # pairs of pictures
_HINT = "State it: [clips] crop = [left, top, width, height]."


@dataclass(frozen=True, kw_only=True)
class Inset:
    """A box of a picture, in pixels of the displayed picture."""

    left: int
    top: int
    width: int
    height: int


def find(path: Path, *, stream_index: int, rotation: int, size: tuple[int, int]) -> Inset:
    """The inset of a recording, to about one part in 320 of its width.

    Args:
        path: The recording.
        stream_index: Its video stream.
        rotation: Clockwise degrees by which a player turns the picture.
        size: Displayed width and height, in pixels.

    Raises:
        MediaError: K204 no box stands out.
    """
    pairs = _sample(path, stream_index=stream_index, rotation=rotation, size=size)
    box = _box(pairs)
    if box is None:
        raise MediaError(f"{path.name}: no inset stands out.", code="K204", hint=_HINT)
    inset = _scaled(box, shape=pairs.shape[2:], size=size)
    for part in (pairs[::2], pairs[1::2]):
        again = _box(part)
        if again is None or max(abs(x - y) for x, y in zip(box, again, strict=True)) > _SAME:
            likely = [inset.left, inset.top, inset.width, inset.height]
            raise MediaError(
                f"{path.name}: no inset is certain; the likeliest, {likely}, is not found again "
                "in half of the pictures.",
                code="K204",
                hint=_HINT,
            )
    return inset


def _scaled(
    box: tuple[int, int, int, int], *, shape: tuple[int, ...], size: tuple[int, int]
) -> Inset:
    """A box in samples as one in pixels."""
    height, width = shape
    # Half a sample inwards, so that nothing of the surrounding slide stays at the rim.
    left, right = ((x + d) * size[0] / width for x, d in zip(box[:2], (0.5, -0.5), strict=True))
    top, bottom = ((y + d) * size[1] / height for y, d in zip(box[2:], (0.5, -0.5), strict=True))
    left, top = 2 * round(left / 2), 2 * round(top / 2)
    return Inset(
        left=max(0, left),
        top=max(0, top),
        width=min(size[0], 2 * round(right / 2)) - max(0, left),
        height=min(size[1], 2 * round(bottom / 2)) - max(0, top),
    )


def _box(pairs: npt.NDArray[np.float32]) -> tuple[int, int, int, int] | None:
    """(left, right, top, bottom) of the best box in pairs of pictures, in samples."""
    frames = pairs.reshape(-1, *pairs.shape[2:])
    moving = (np.abs(pairs[:, 1] - pairs[:, 0]) > 12).mean(axis=0)
    upright = np.pad(np.median(np.abs(np.diff(frames, axis=2)), axis=0), ((0, 0), (1, 1)))
    level = np.pad(np.median(np.abs(np.diff(frames, axis=1)), axis=0), ((1, 1), (0, 0)))
    return _best(upright.astype(np.float32), level.astype(np.float32), moving.astype(np.float32))


def _sample(
    path: Path, *, stream_index: int, rotation: int, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Grey pairs of frames some frames apart, from all over the recording: (N, 2, H, W)."""
    width, height = _WIDTH, max(16, round(_WIDTH * size[1] / size[0]))
    across, down = (height, width) if rotation in (90, 270) else (width, height)
    pairs: list[list[Plane]] = []
    try:
        with open_media(path) as container:
            stream: Any = container.streams[stream_index]
            length = int(container.duration or 0)
            start = int(container.start_time or 0)
            last = -1
            for place in range(_SAMPLES // 2):
                wanted = start + length * place * 2 // _SAMPLES
                found: list[Plane] = []
                if length:
                    container.seek(wanted, stream=None)
                # Where keyframes are rare, several places lead to the same one; the same frames
                # again would make every line of the picture a lasting one.
                frames = _from(container.decode(stream), after=last, wanted=wanted)
                try:
                    for number, (time, frame) in enumerate(frames):
                        last = time
                        if number in (0, 4):
                            grey = frame.reformat(width=across, height=down, format="gray")
                            found.append(np.rot90(grey.to_ndarray(), -rotation // 90))
                        if number == 4:
                            break
                except av.InvalidDataError:
                    continue  # a damaged place; the others will do
                if len(found) == 2:
                    pairs.append([f.astype(np.float32) for f in found])
                if not length:
                    break
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path.name}: {error.strerror or error}.", code="K204") from error
    if len(pairs) < _FEWEST:
        raise MediaError(f"{path.name} is too short to find an inset in.", code="K204")
    return np.array(pairs)


def _from(frames: Iterator[Any], *, after: int, wanted: int) -> Iterator[tuple[int, Any]]:
    """Frames with their times in microseconds, from a time on where the first are known already."""
    is_known = False
    for number, frame in enumerate(frames):
        if number > _MOST_SKIPPED:
            return
        time = int((frame.time or 0) * 1_000_000)
        is_known |= number == 0 and time <= after
        if not is_known or (time >= wanted and time > after):
            yield time, frame


def _strongest(profile: Plane) -> list[int]:
    """The positions of the strongest lines, apart from each other, and both edges."""
    taken: list[int] = []
    for place in np.argsort(-profile, kind="stable"):
        if len(taken) == _LINES:
            break
        if all(abs(int(place) - other) > 2 for other in taken):
            taken.append(int(place))
    return sorted({0, len(profile) - 1, *taken})


def _lasting(edges: Plane, *, axis: int) -> Plane:
    """1 where an edge lasts, here or one sample beside."""
    there = edges > _EDGE
    beside = np.roll(there, 1, axis=axis) | np.roll(there, -1, axis=axis)
    return (there | beside).astype(np.float32)


def _around(area: Plane, *, box: tuple[int, int, int, int]) -> float:
    """How much moves in a ring around a box, but for the border; `area` holds sums of movement."""
    sums: list[float] = []
    sizes: list[int] = []
    for grown in (1, 1 + _RING):
        left, top = max(0, box[0] - grown), max(0, box[2] - grown)
        right = min(area.shape[1] - 1, box[1] + grown)
        bottom = min(area.shape[0] - 1, box[3] + grown)
        sums.append(
            float(area[bottom, right] - area[top, right] - area[bottom, left] + area[top, left])
        )
        sizes.append((right - left) * (bottom - top))
    moved, size = sums[1] - sums[0], sizes[1] - sizes[0]
    return moved / max(1, size)


def _best(upright: Plane, level: Plane, moving: Plane) -> tuple[int, int, int, int] | None:
    """(left, right, top, bottom) of the best box, in samples."""
    height, width = moving.shape
    # Of a side it counts how much of it is an edge: people have strong outlines, but no straight
    # ones. A line may fall between two samples, so its neighbours count as well.
    down = np.pad(_lasting(upright, axis=1).cumsum(axis=0), ((1, 0), (0, 0)))
    across = np.pad(_lasting(level, axis=0).cumsum(axis=1), ((0, 0), (1, 0)))
    area = np.pad(moving.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    # Lines need not cross the whole picture: the strongest tenth of a line speaks for it.
    columns = _strongest(np.sort(upright, axis=0)[-height // 4 :].mean(axis=0))
    rows = _strongest(np.sort(level, axis=1)[:, -width // 4 :].mean(axis=1))
    best: tuple[float, tuple[int, int, int, int]] | None = None
    for left, right in combinations(columns, 2):
        for top, bottom in combinations(rows, 2):
            w, h = right - left, bottom - top
            share = w * h / (width * height)
            if not _MIN_AREA <= share <= _MAX_AREA or max(w / h, h / w) > _MAX_ASPECT:
                continue
            sides = [
                (down[bottom, x] - down[top, x]) / h for x in (left, right) if 0 < x < width
            ] + [(across[y, right] - across[y, left]) / w for y in (top, bottom) if 0 < y < height]
            if len(sides) < 2 or min(sides) < _MIN_BORDER:
                continue
            inner = area[bottom, right] - area[top, right] - area[bottom, left] + area[top, left]
            outer = (area[-1, -1] - inner) / (width * height - w * h)
            inner /= w * h
            if inner < 0.01 or inner < _LIVELIER * outer:
                continue
            # What moves in an inset ends at its border; arms reach out of a door behind somebody.
            if inner < _LIVELIER * _around(area, box=(left, right, top, bottom)):
                continue
            score = float(min(sides) * inner)
            if best is None or score > best[0]:
                best = score, (left, right, top, bottom)
    return None if best is None else best[1]
