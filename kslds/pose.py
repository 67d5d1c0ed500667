"""Keypoints beside a recording: `.pose` files (pose-format) and OpenPose's JSON.

A recording may have one pose file of the same stem. It becomes one row of points for every
presented frame of the recording, so that a span of frames cuts both alike.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import re
import struct
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from kslds.errors import MediaError, MissingExtra, MissingFile
from kslds.folders import Finder
from kslds.manifest import canonical_json, sha256_file
from kslds.schema import Recording, Timing

Array = npt.NDArray[np.float32]

FIELD = "pose.npy"
"""Name of the member in a pack or shard, after the key."""

_MAX_BYTES = 1 << 30
_MAX_JSON_BYTES = 4 << 20
_MAX_HEADER = 1 << 20
_MAX_FRAMES = 5_000_000
_OPENPOSE_PARTS = (
    "pose_keypoints_2d",
    "face_keypoints_2d",
    "hand_left_keypoints_2d",
    "hand_right_keypoints_2d",
)
_UNREADABLE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError,
    MemoryError, RuntimeError, struct.error,
)  # fmt: skip
_OPENPOSE_NAME = re.compile(r"(?:^|\D)(\d{1,12})_keypoints\.json$", re.ASCII)
_OPENPOSE_OF = re.compile(r"(.+)_\d{12}_keypoints\.json$", re.ASCII)
"""Which video a file is of, where several have theirs in one folder."""
_ANY_FRAME = "_*_keypoints.json"
_EXPECTED = "the JSON that OpenPose writes of a frame, an object with the list 'people'"


@dataclass(frozen=True, kw_only=True)
class Poses:
    """The points of the most confident person of every frame."""

    data: Array
    """float32 (T, P, D): coordinates in pixels, the confidence last; NaN where nobody is seen."""
    rate: Fraction | None
    """Frames per second, where the file states it."""
    points: tuple[str, ...]
    """Names of the P points, as ``component/point``."""
    absent: tuple[int, ...] = ()
    """Frames before the last that have no file of their own, as of OpenPose; their rows are NaN."""

    def of_frames(self, count: int) -> Poses:
        """These poses, their first row that of frame 0, where files are numbered from 1.

        Args:
            count: How many frames the recording has.
        """
        if 0 not in self.absent or len(self.data) != count + 1:
            return self
        absent = tuple(number - 1 for number in self.absent[1:])
        return dataclasses.replace(self, data=self.data[1:], absent=absent)


def find(folder: Path, *, recordings: Iterable[str]) -> dict[str, Path]:
    """Pose files of recordings, by stem: of ``a/b.mp4``, ``b.pose``, ``a/b.pose`` or OpenPose's.

    Args:
        folder: Holds ``<stem>.pose`` files, folders ``<stem>`` of OpenPose JSON files, or such
            files of many recordings side by side, ``<stem>_000000000012_keypoints.json``; flat or
            laid out as the recordings are.
        recordings: Names of recordings, relative to the media folder.

    Returns:
        Name of a recording → what `read` takes. Links out of the folder are passed over.
    """
    there = _below(folder)
    finder = Finder({name: name for name in there})
    stems = {name: PurePosixPath(name).with_suffix("") for name in recordings}
    alike = Counter(stem.name for stem in stems.values())
    found = {}
    for name, stem in stems.items():
        which, _, _ = finder.find(f"{stem}.pose")
        # By its bare name only where no other recording is called the same.
        if which and (alike[stem.name] == 1 or which == f"{stem}.pose"):
            found[name] = there[which]
    return found


def _below(folder: Path) -> dict[str, Path]:
    """What may be the poses of a recording, under the name that its file or folder stands for."""
    there: dict[str, Path] = {}
    inside = folder.resolve()
    for above, folders, files in os.walk(folder):
        here = Path(above)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            linked = here / name
            if linked.is_symlink() and linked.resolve().is_relative_to(inside):
                there[_name(linked, folder) + ".pose"] = linked
        if any(_OPENPOSE_NAME.search(name) for name in files):
            folders.clear()  # one listing of as many files as frames is enough
            if here != folder:
                there.setdefault(_name(here, folder) + ".pose", here)
            for stem in sorted({m[1] for m in map(_OPENPOSE_OF.match, files) if m}):
                group = here / f"{stem}{_ANY_FRAME}"
                there.setdefault(_name(here / stem, folder) + ".pose", group)
        for path in (here / name for name in sorted(files)):
            is_pose = path.suffix.lower() == ".pose" and path.is_file()
            if is_pose and path.resolve().is_relative_to(inside):
                there[_name(path.with_suffix(""), folder) + ".pose"] = path
    return there


def _name(path: Path, folder: Path) -> str:
    name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "replace")
    return unicodedata.normalize("NFC", name)


def read(path: Path) -> Poses:
    """Read a `.pose` file, or OpenPose's ``…_000000000012_keypoints.json``.

    Args:
        path: The file; a folder of such files; or a folder and ``<stem>_*_keypoints.json``.

    Raises:
        MediaError: K129 the file is not one of these, or is damaged.
        MissingExtra: `pose-format` is not installed.
    """
    try:
        is_openpose = path.name.endswith(_ANY_FRAME) or path.is_dir()
        return _openpose(path) if is_openpose else _pose_format(path)
    except _UNREADABLE as error:
        raise MediaError(
            f"{path.name} cannot be read as poses: {error}.",
            code="K129",
            hint="Make it again from the recording.",
        ) from error


def _pose_format(path: Path) -> Poses:
    if find_spec("pose_format") is None:
        raise MissingExtra("pose-format", extra="pose")
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader
    from pose_format.utils.reader import BufferReader

    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
    data = path.read_bytes()
    try:
        # The header alone first: what it claims decides how much memory the rest takes.
        head = BufferReader(data[:_MAX_HEADER])
        header = PoseHeader.read(head)
        reader = BufferReader(data)
        reader.read_offset = head.read_offset
        _check_size(header, data, start=head.read_offset)
        body = NumPyPoseBody.read(header, reader)
    except (struct.error, TypeError, IndexError) as error:
        raise ValueError("it breaks off too early, or is no .pose file") from error
    points = np.ma.getdata(body.data).astype(np.float32)
    confidence = np.asarray(body.confidence, dtype=np.float32)
    names = tuple(f"{c.name}/{point}" for c in header.components for point in c.points)
    if points.ndim != 4 or points.shape[2] != len(names) or confidence.shape != points.shape[:3]:
        raise ValueError(f"its header names {len(names)} points, its body has {points.shape}")
    rate = Fraction(body.fps).limit_denominator(1001) if body.fps > 0 else Fraction(0)
    return Poses(data=_most_confident(points, confidence), rate=rate or None, points=names)


def _check_size(header: Any, data: bytes, *, start: int) -> None:
    """Refuse a body that has not the size that it states, or one that is out of proportion.

    Version 0.0 states the people of each frame; 0.1 and 0.2 those of all of them. The numbers
    after the header are those of https://github.com/sign-language-processing/pose,
    docs/specs.
    """
    version = round(header.version, 3)
    form = struct.Struct({0: "<HH", 0.1: "<HHH"}.get(version, "<fIH"))
    _, frames, *people = form.unpack_from(data, start)
    row = header.total_points() * (header.num_dims() + 1) * 4
    left = len(data) - start - form.size
    if row <= 0:
        raise ValueError("its header names no points")
    held = left // (row * people[0]) if people and people[0] else 0
    if version == 0.1 and held >= 0xFFFF and left % (row * people[0]) == 0:
        frames = held  # its number of frames goes no further
    if people and people[0] and (held < frames or (version == 0.1 and held > frames)):
        raise ValueError(f"it states {frames} frames, and holds {held}")
    if frames > _MAX_FRAMES or frames * row > _MAX_BYTES:
        raise ValueError(f"it states {frames} frames of {header.total_points()} points")


def _most_confident(data: Array, confidence: Array) -> Array:
    """(T, people, P, D) → (T, P, D + 1) of one person; NaN where no point is seen."""
    frames, people = data.shape[:2]
    if not people:
        return np.full((frames, data.shape[2], data.shape[3] + 1), np.nan, np.float32)
    seen = confidence > 0
    best = np.where(seen, confidence, 0).sum(axis=2).argmax(axis=1)
    each = np.arange(frames)
    chosen = np.concatenate([data[each, best], confidence[each, best][..., None]], axis=2)
    chosen[~seen[each, best]] = np.nan
    return chosen


def _frame_files(path: Path) -> dict[int, Path]:
    """OpenPose's files of a folder, or those of one video in it, by the number of the frame."""
    folder, only = path, None
    if path.name.endswith(_ANY_FRAME):
        folder, only = path.parent, path.name.removesuffix(_ANY_FRAME)
    files: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        named, of = _OPENPOSE_NAME.search(file.name), _OPENPOSE_OF.match(file.name)
        if named is None or (only is not None and (of is None or of[1] != only)):
            continue
        if file.is_symlink() or not file.is_file():
            continue
        if int(named[1]) in files:
            raise ValueError(f"two files are of frame {int(named[1])}")
        files[int(named[1])] = file
    return files


def _openpose(path: Path) -> Poses:
    files = _frame_files(path)
    if not files:
        raise ValueError("no file in it ends in _keypoints.json")
    if max(files) >= _MAX_FRAMES:
        raise ValueError(f"it has a frame number {max(files)}")
    people: dict[int, dict[str, Array] | None] = {}
    for number, file in sorted(files.items()):
        frame = _json(file)
        try:
            people[number] = _best_person(frame)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{file.name} is not as OpenPose writes it; expected the list 'people', of each "
                "of whom lists such as 'pose_keypoints_2d' hold x, y and confidence of each point"
            ) from error
    first = next((p for p in people.values() if p is not None), None)
    if first is None:
        raise ValueError("no file of it shows a person")
    counts = {part: len(points) for part, points in first.items()}
    shape = max(files) + 1, sum(counts.values()), 3
    if math.prod(shape) * 4 > _MAX_BYTES:
        raise ValueError(f"it is of {shape[0]} frames of {shape[1]} points")
    rows = np.full(shape, np.nan, np.float32)
    for number, parts in people.items():
        if parts is None:
            continue
        if {part: len(points) for part, points in parts.items()} != counts:
            raise ValueError(f"frame {number} has other points than the first")
        rows[number] = np.concatenate([parts[name] for name in first])
    rows[~(rows[..., 2] > 0)] = np.nan
    names = tuple(f"{part}/{i}" for part, points in first.items() for i in range(len(points)))
    absent = tuple(sorted(set(range(len(rows))).difference(files)))
    return Poses(data=rows, rate=None, points=names, absent=absent)


def _json(file: Path) -> Mapping[str, Any]:
    if file.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"{file.name} is larger than {_MAX_JSON_BYTES >> 20} MiB")
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        where = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "is nested too deeply"
        if isinstance(error, json.JSONDecodeError):
            where = f"breaks off or is damaged at line {error.lineno}, column {error.colno}"
        raise ValueError(f"{file.name} {where}; expected {_EXPECTED}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} holds no object; expected {_EXPECTED}")
    return found


def _best_person(frame: Mapping[str, Any]) -> dict[str, Array] | None:
    people = [
        {
            part: np.asarray(person[part], dtype=np.float32).reshape(-1, 3)
            for part in _OPENPOSE_PARTS
            if person.get(part)
        }
        for person in frame["people"]
    ]
    people = [parts for parts in people if parts]
    seen = [sum(float(v[v[:, 2] > 0, 2].sum()) for v in parts.values()) for parts in people]
    return people[seen.index(max(seen))] if people else None


def aligned(poses: Poses, *, pts: Sequence[int], time_base: Fraction) -> Array:
    """One row of points for each presented frame of a recording.

    Where the file has as many frames as the recording, they belong together one by one, whatever
    rate it states. Otherwise, if it states a rate that is not the recording's and by which both
    last equally long (to a fiftieth, or a frame of either), a frame gets the row on show at its
    time: ``floor(rate * t)`` with t since the first frame. What is left is one or two frames more
    or less, as estimators do: one by one again. OpenPose's files may be numbered from 0 or from 1.

    Args:
        poses: What was read.
        pts: The recording's timestamps, ascending.
        time_base: Their unit in seconds.

    Returns:
        float32 (len(pts), P, D); NaN where the file has no frame.

    Raises:
        MediaError: K129 the numbers of frames differ, and the lengths do too or are not stated.
    """
    data = poses.of_frames(len(pts)).data
    count, own = len(data), len(pts)
    out = np.full((own, *data.shape[1:]), np.nan, np.float32)
    span = (pts[-1] - pts[0]) * time_base * Fraction(own, max(1, own - 1))
    rate = poses.rate
    if count != own and rate is not None and span > 0 and abs(rate * span - own) * 50 > own:
        step = max(1 / rate, span / own)
        if abs(count / rate - span) <= max(span / 50, step):
            # Timestamps may have been rounded to their unit, as in ms.
            half = min(time_base, Fraction(1, 1000)) / 2
            rows = np.array([rate * ((p - pts[0]) * time_base + half) // 1 for p in pts])
            known = rows < count
            out[known] = data[rows[known]]
            return out
    if abs(count - own) > 2:
        stated = "" if rate is None else f", {float(count / rate):.2f} s at the rate it states"
        raise MediaError(
            f"the poses have {count} frames{stated}; the recording has {own}, {float(span):.2f} s.",
            code="K129",
            hint="Make them again from this recording.",
        )
    out[:count] = data[:own]
    return out


@dataclass(frozen=True, kw_only=True)
class Attached:
    """Which recordings have poses."""

    recordings: tuple[Recording, ...] = ()
    """Those with `pose_file` and `pose_sha256` filled in."""
    problems: tuple[tuple[str, str, str], ...] = ()
    """Code, name of a recording or pose file, and what is wrong with it."""
    points: tuple[str, ...] = ()
    """Names of the points, the same for all."""


def attach(
    folder: Path,
    *,
    recordings: Iterable[Recording],
    timings: Mapping[str, Timing],
    copies: Mapping[str, str],
) -> Attached:
    """Find the poses of recordings, and read each once to see that they fit.

    The first recording by name decides which points there are.

    Args:
        folder: See `find`.
        recordings: The recordings.
        timings: recording_id → its timestamps.
        copies: Names of files with the same bytes as a recording → its name. Their poses are
            those of a recording that has none under its own.

    Raises:
        MissingFile: There is no such folder.
        MissingExtra: `pose-format` is not installed.
    """
    if not folder.is_dir():
        raise MissingFile(f"there is no folder of poses {str(folder)!r}.", hint="[ingest] poses")
    by_name = {r.source_file: r for r in recordings}
    with_poses: list[Recording] = []
    files = find(folder, recordings=by_name)
    of_copies = find(folder, recordings=copies)
    for copy in sorted(of_copies):
        files.setdefault(copies[copy], of_copies[copy])
    problems = _not_found(folder, files, by_name, used={*files.values(), *of_copies.values()})
    points: tuple[str, ...] = ()
    for name, path in sorted(files.items()):
        row = by_name[name]
        try:
            found = read(path)
            base = Fraction(row.time_base_num, row.time_base_den)
            aligned(found, pts=timings[row.recording_id].pts, time_base=base)
        except MediaError as error:
            problems.append(("K129", name, error.what))
            continue
        points = points or found.points
        if found.points != points:
            what = f"{path.name} has {_apart(found.points, points)}."
            problems.append(("K129", name, what))
            continue
        absent = found.of_frames(row.num_frames).absent
        if absent:
            what = f"{path.name} has no file of {len(absent)} frame(s), first {absent[0]}"
            problems.append(("K130", name, f"{what}; nothing is seen in these."))
        with_poses.append(
            dataclasses.replace(
                row, pose_file=path.relative_to(folder).as_posix(), pose_sha256=content_sha256(path)
            )
        )
    return Attached(recordings=tuple(with_poses), problems=tuple(problems), points=points)


def _apart(points: Sequence[str], first: Sequence[str]) -> str:
    """How the points of a file differ from those of the first one."""
    if len(points) != len(first):
        return f"{len(points)} points, the first file {len(first)}"
    place = next(i for i, name in enumerate(points) if name != first[i])
    return (
        f"point {place} called {points[place]!r:.60}, the first file calls it {first[place]!r:.60}"
    )


def _not_found(
    folder: Path, found: Mapping[str, Path], recordings: Iterable[str], *, used: Set[Path]
) -> list[tuple[str, str, str]]:
    """Pose files without a recording, and recordings without poses."""
    alone = sorted(
        _name(path, folder)
        for path in _below(folder).values()
        # Of a folder, either all files are one recording's, or each video's are.
        if used.isdisjoint((path, *path.parents)) and not any(path in u.parents for u in used)
    )
    stems: dict[str, list[str]] = defaultdict(list)
    for name in sorted(recordings):
        stems[PurePosixPath(name).stem].append(name)
    problems = []
    for name in alone:
        what = f"{name} is the name of no recording, or of several."
        if alike := stems[PurePosixPath(name).stem]:
            what += f" {alike[0]} lies in a folder of another name: call both folders the same."
        problems.append(("K130", name, what))
    without = sorted(set(recordings).difference(found))
    if without:
        what = f"{len(without)} recording(s) have no poses, first {without[0]}."
        problems.append(("K130", without[0], what))
    return problems


def content_sha256(path: Path) -> str:
    """What `pose_sha256` of a recording is, of poses as `read` takes them."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(_frame_files(path).values())
    return hashlib.sha256(canonical_json([[f.name, sha256_file(f)] for f in files])).hexdigest()


def encode(points: Array) -> bytes:
    """The bytes of a `.npy` file."""
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(points), allow_pickle=False)
    return out.getvalue()


def decode(data: bytes) -> Array:
    """float32 (T, P, D) from `encode`.

    Raises:
        MediaError: K331 these are other bytes.
    """
    try:
        points = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise MediaError(f"the poses cannot be read: {error}.", code="K331") from error
    return np.asarray(points, dtype=np.float32)
