"""Where the frames of a clip of our own lie in its MP4.

FFmpeg finds that out for any file, and needs a tenth of the time of reading a clip for it. Clips
that kslds writes have one form: one track of H.264 side by side, in groups that begin with a
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


def check_counts(data: bytes) -> None:
    """Before FFmpeg makes room for them: a file cannot have more coded frames than bytes.

    Raises:
        ValueError: It says that it has.
    """
    try:
        tables = [box for box in _walk(data, 0, len(data)) if box[0] in (b"moov", b"moof")]
    except (_OtherForm, struct.error):
        tables = [(b"", 0, len(data))]  # FFmpeg may see something in it
    for _, first, last in tables:
        for kind, before in ((b"stsz", 12), (b"trun", 8), (b"stz2", 12)):
            at = data.find(kind, first, last)
            while at >= 0:
                count = int.from_bytes(data[at + before : at + before + 4], "big")
                if count > len(data):
                    raise ValueError(f"it states {count} frames in {len(data)} bytes")
                at = data.find(kind, at + 4, last)


def _track(data: bytes) -> Track:
    top = _boxes(data, 0, len(data))
    moov = _boxes(data, *top[b"moov"])
    trak = _boxes(data, *moov[b"trak"])
    media = _boxes(data, *trak[b"mdia"])
    if b"mvex" in moov or data[media[b"hdlr"][0] + 8 :][:4] != b"vide":
        raise _OtherForm
    table = _boxes(data, *_boxes(data, *media[b"minf"])[b"stbl"])
    width, height, settings = _entry(data, *table[b"stsd"])
    if settings[4] & 3 != 3:  # lengths of four bytes, in which `_kind` believes
        raise _OtherForm
    sizes = _sizes(data, table[b"stsz"])
    starts = _starts(data, table, sizes=sizes)
    times, shown = _shown(data, table, count=len(sizes))
    if b"edts" in trak:
        shown_for = _shown_for(data, *trak[b"edts"]) * _scale(data, media[b"mdhd"])
        if shown_for <= int(times.max()) * _scale(data, moov[b"mvhd"]):
            raise _OtherForm
    # Without the table, every frame is one.
    keyframes = (
        _numbers(data, table[b"stss"], before=4) - 1 if b"stss" in table else np.arange(len(sizes))
    )
    reached = np.maximum.accumulate(shown)[keyframes[1:] - 1]
    if keyframes[:1].tolist() != [0] or (shown[keyframes] != keyframes).any():
        raise _OtherForm
    if (reached >= keyframes[1:]).any():  # A group goes on after the next has begun.
        raise _OtherForm
    if any(_kind(data, start) != _IDR for start in starts[keyframes].tolist()):
        raise _OtherForm
    return Track(
        starts=starts.tolist(),
        sizes=sizes.tolist(),
        shown=shown.tolist(),
        keyframes=frozenset(keyframes.tolist()),
        aside=frozenset(np.flatnonzero(_is_aside(data, starts)).tolist()),
        width=width,
        height=height,
        settings=settings,
    )


def _sizes(data: bytes, box: tuple[int, int]) -> _Numbers:
    """The bytes of each coded frame."""
    size, count = struct.unpack_from(">II", data, box[0] + 4)
    if size and count != 1:
        raise _OtherForm
    sizes = np.array([size]) if size else _numbers(data, box, before=8)
    if not len(sizes) or not sizes.all():
        raise _OtherForm
    return sizes


def _starts(data: bytes, table: _Boxes, *, sizes: _Numbers) -> _Numbers:
    """Where each coded frame begins; they lie side by side, in whatever chunks."""
    chunks = _numbers(data, table[b"stco"], before=4).tolist()
    first, last = table[b"stsc"]
    (rows,) = struct.unpack_from(">I", data, first + 4)
    if not chunks or not 0 < rows <= (last - first - 8) // 12:
        raise _OtherForm
    ends = chunks[0] + np.cumsum(sizes)
    starts: _Numbers = ends - sizes
    runs = list(struct.iter_unpack(">III", data[first + 8 : first + 8 + 12 * rows]))
    until = [run[0] - 1 for run in runs[1:]] + [len(chunks)]
    reached = begun = 0
    for (number, each, entry), end in zip(runs, until, strict=True):
        if number != begun + 1 or end <= begun or not each or entry != 1:
            raise _OtherForm
        for chunk in chunks[begun:end]:
            if starts[reached] != chunk:
                raise _OtherForm
            reached += each
        begun = end
    if reached != len(sizes) or ends[-1] > len(data):
        raise _OtherForm
    return starts


def _shown(data: bytes, table: _Boxes, *, count: int) -> tuple[_Numbers, _Numbers]:
    """When each coded frame is shown, from 0 on, and its place among all."""
    lasts = _each(data, table[b"stts"], count=count)
    # Without the offsets, each is shown when the one before it ends.
    times = np.cumsum(lasts) - lasts
    if b"ctts" in table:
        times += _each(data, table[b"ctts"], count=count)
    order = np.argsort(times)
    if times[order[0]] != 0 or not np.diff(times[order]).all():
        raise _OtherForm
    shown = np.empty_like(order)
    shown[order] = np.arange(count)
    return times, shown


def _each(data: bytes, box: tuple[int, int], *, count: int) -> _Numbers:
    """The value of each coded frame, from a table of how many have the same."""
    first, last = box
    (rows,) = struct.unpack_from(">I", data, first + 4)
    if rows > (last - first - 8) // 8:
        raise _OtherForm
    pairs = np.frombuffer(data, ">i4", 2 * rows, first + 8).astype(np.int64).reshape(rows, 2)
    if pairs[:, 0].min(initial=0) < 0 or pairs[:, 0].sum() != count:
        raise _OtherForm
    return cast(_Numbers, np.repeat(pairs[:, 1], pairs[:, 0]))


_SLICE, _IDR = 1, 5
"""Types of what a frame consists of: a part of one that is no keyframe, and of one that is."""


def _kind(data: bytes, start: int) -> int:
    """The type of the first slice of a coded frame, after what may precede it."""
    for _ in range(_MOST_BOXES):
        length, first = struct.unpack_from(">IB", data, start)
        if _SLICE <= first & 0b11111 <= _IDR:
            return int(first & 0b11111)
        start += 4 + length
    raise _OtherForm


def _is_aside(data: bytes, starts: _Numbers) -> npt.NDArray[np.bool_]:
    """Does no other frame refer to one that starts here?

    The five bits of its type say a slice, and ``nal_ref_idc``, two bits, is 0. What begins with
    something else may be referred to.
    """
    first = np.frombuffer(data, np.uint8)[starts + 4]
    return cast("npt.NDArray[np.bool_]", first & 0b1111111 == _SLICE)


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


def _scale(data: bytes, box: tuple[int, int]) -> int:
    """Ticks in a second, of a box that begins with two times."""
    version, _, _, short, _, long = struct.unpack_from(">B3xIIIII", data, box[0])
    return int(long if version else short)


def _shown_for(data: bytes, start: int, end: int) -> int:
    """For how long an edit list shows the track, from its beginning and at its own pace.

    In ticks of the whole file.
    """
    first, _ = _boxes(data, start, end)[b"elst"]
    version, count, duration, media_time, rate = struct.unpack_from(">B3xIIiI", data, first)
    if (version, count, media_time, rate) != (0, 1, 0, 1 << 16):
        raise _OtherForm
    return int(duration)


def _entry(data: bytes, start: int, end: int) -> tuple[int, int, bytes]:
    """Width, height and the decoder's settings from the box ``stsd``."""
    (entry,) = _walk(data, start + 8, end)
    kind, first, last = entry
    if kind != b"avc1":
        raise _OtherForm
    width, height = struct.unpack_from(">HH", data, first + 24)
    begin, stop = _boxes(data, first + 78, last)[b"avcC"]
    return width, height, data[begin:stop]
