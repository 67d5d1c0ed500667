"""Where the frames of a clip of our own lie in its MP4.

FFmpeg finds that out for any file, and needs a tenth of the time of reading a clip for it. Clips
that kslds writes have one form: one track of H.264 in one chunk, in groups that begin with a
keyframe and refer to nothing outside of themselves. Boxes and their fields are those of ISO/IEC
14496-12 and -15, the first byte of a coded frame that of ITU-T H.264, 7.3.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Track:
    """The coded frames of a clip."""

    starts: list[int]
    """Where each begins in the file."""
    sizes: list[int]
    """Bytes of each, above 0."""
    shown: list[int]
    """Which frame of the clip each is, counted as they are shown."""
    keyframes: frozenset[int]
    """Numbers of those with which decoding can begin; all before it are shown before it."""
    aside: frozenset[int]
    """Numbers of those that no other refers to."""
    width: int
    height: int
    settings: bytes
    """Of the decoder: the content of the box ``avcC``."""


_MOST_BOXES = 20
"""Side by side; ours are ten at most."""


class _OtherForm(Exception):
    """It may be a clip, but not in the form that kslds writes."""


def track(data: bytes) -> Track | None:
    """The frames of a clip; None where the file has another form than kslds gives it.

    Args:
        data: The whole file.
    """
    try:
        return _track(data)
    except (_OtherForm, struct.error, ValueError, IndexError):
        return None


def _track(data: bytes) -> Track:
    top = _boxes(data, 0, len(data))
    moov = _boxes(data, *top[b"moov"])
    trak = _boxes(data, *moov[b"trak"])
    if b"mvex" in moov or (b"edts" in trak and not _starts_at_once(data, *trak[b"edts"])):
        raise _OtherForm
    media = _boxes(data, *_boxes(data, *trak[b"mdia"])[b"minf"])
    table = _boxes(data, *media[b"stbl"])
    if struct.unpack_from(">I", data, table[b"stsz"][0] + 4)[0]:
        raise _OtherForm
    sizes = _numbers(data, table[b"stsz"], before=8)
    chunks = _numbers(data, table[b"stco"], before=4)
    # Without the table, every frame is one.
    keyframes = (
        _numbers(data, table[b"stss"], before=4)
        if b"stss" in table
        else np.arange(1, len(sizes) + 1)
    )
    if len(chunks) != 1 or not len(sizes) or not sizes.all() or keyframes[:1].tolist() != [1]:
        raise _OtherForm
    ends = chunks[0] + np.cumsum(sizes)
    if ends[-1] > len(data):
        raise _OtherForm
    width, height, settings = _entry(data, *table[b"stsd"])
    starts, keyframes = ends - sizes, keyframes - 1
    shown = _shown(data, table, count=len(sizes))
    reached = np.maximum.accumulate(shown)[keyframes[1:] - 1]
    if (shown[keyframes] != keyframes).any() or (reached >= keyframes[1:]).any():
        raise _OtherForm  # A group goes on after the next has begun.
    has_lengths = settings[4] & 3 == 3  # of four bytes
    aside = np.flatnonzero(_is_aside(data, starts)).tolist() if has_lengths else []
    return Track(
        starts=starts.tolist(),
        sizes=sizes.tolist(),
        shown=shown.tolist(),
        keyframes=frozenset(keyframes.tolist()),
        aside=frozenset(aside),
        width=width,
        height=height,
        settings=settings,
    )


def _shown(data: bytes, table: _Boxes, *, count: int) -> _Numbers:
    """The place of each coded frame among all, as they are shown."""
    if b"ctts" not in table:
        return np.arange(count)
    # Without the offsets, each is shown when the one before it ends.
    lasts = _each(data, table[b"stts"], count=count)
    times = np.cumsum(lasts) - lasts + _each(data, table[b"ctts"], count=count)
    order = np.argsort(times)
    if not np.diff(times[order]).all():
        raise _OtherForm
    shown = np.empty_like(order)
    shown[order] = np.arange(count)
    return shown


def _each(data: bytes, box: tuple[int, int], *, count: int) -> _Numbers:
    """The value of each coded frame, from a table of how many have the same."""
    first, last = box
    (rows,) = struct.unpack_from(">I", data, first + 4)
    if rows > (last - first - 8) // 8:
        raise _OtherForm
    pairs = np.frombuffer(data, ">i4", 2 * rows, first + 8).astype(np.int64).reshape(rows, 2)
    if pairs[:, 0].min(initial=0) < 0 or pairs[:, 0].sum() != count:
        raise _OtherForm
    return np.repeat(pairs[:, 1], pairs[:, 0])


def _is_aside(data: bytes, starts: _Numbers) -> npt.NDArray[np.bool_]:
    """Does no other frame refer to one that starts here, after the four bytes of its length?

    Its type, five bits, is 1, a slice of a frame that is no keyframe, and ``nal_ref_idc``, two
    bits, is 0. What begins with something else may be referred to.
    """
    first = np.frombuffer(data, np.uint8)[starts + 4]
    return cast("npt.NDArray[np.bool_]", first & 0x7F == 1)


class _Boxes(dict[bytes, tuple[int, int]]):
    def __missing__(self, kind: bytes) -> tuple[int, int]:
        raise _OtherForm


def _boxes(data: bytes, start: int, end: int) -> _Boxes:
    """Where the content of every box begins and ends, by its type; each type once."""
    found = _Boxes()
    for kind, first, last in _walk(data, start, end):
        if kind in found or len(found) == _MOST_BOXES:
            raise _OtherForm
        found[kind] = first, last
    return found


def _walk(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if not 8 <= size <= end - start:  # 0 and 1 stand for longer ones, which no clip has
            raise _OtherForm
        yield kind, start + 8, start + size
        start += size


def _numbers(data: bytes, box: tuple[int, int], *, before: int) -> _Numbers:
    """The table of 32-bit numbers in a box, after a count that `before` bytes precede."""
    first, last = box
    (count,) = struct.unpack_from(">I", data, first + before)
    if count > (last - first - before - 4) // 4:
        raise _OtherForm
    return np.frombuffer(data, ">u4", count, first + before + 4).astype(np.int64)


def _starts_at_once(data: bytes, start: int, end: int) -> bool:
    """Does an edit list show the track from its beginning, once and at its own pace?"""
    first, _ = _boxes(data, start, end)[b"elst"]
    version, count, _, media_time, rate = struct.unpack_from(">B3xIIiI", data, first)
    return bool((version, count, media_time, rate) == (0, 1, 0, 1 << 16))


def _entry(data: bytes, start: int, end: int) -> tuple[int, int, bytes]:
    """Width, height and the decoder's settings from the box ``stsd``."""
    (entry,) = _walk(data, start + 8, end)
    kind, first, last = entry
    if kind != b"avc1":
        raise _OtherForm
    width, height = struct.unpack_from(">HH", data, first + 24)
    begin, stop = _boxes(data, first + 78, last)[b"avcC"]
    return width, height, data[begin:stop]
