"""One side of a split: its index as columns, and its samples as pixels and fields."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from kslds import pose, schema
from kslds.batches import in_order
from kslds.errors import CorruptData, IncompleteDataset, MediaError, MissingFile, UsageError
from kslds.frames import MAX_SIDE, planes_shape, read_frames, read_jpegs
from kslds.pack import SHARD_NAME
from kslds.storage import Cache, Storage, name_of
from kslds.video import ENCODINGS

AGAIN = "Check it with: kslds info DIR --verify; make it again with: kslds shard DIR"

Slot = Callable[[tuple[int, ...]], npt.NDArray[np.uint8]]
"""Shape → where an array of it goes."""

Frames = Callable[[int], Sequence[int]]
"""Number of frames of a clip → which to read."""

_POSE = "pose.npy"
_SHARDS_AHEAD = 4
"""Whose fields are read at a time from afar: a few thousand samples each."""
_MOST_BYTES = 2**31 - 1
"""Of a member, and the most that the system reads at once."""
_MOST_UNPACKED, _MOST_RATIO = 1 << 24, 200
"""Bytes that an index may take, and as many more for each byte of its file."""
_MOST_SAMPLES = 2**24
"""Of a shard, which then has at least 24 GiB."""


@dataclass(frozen=True)
class _Members:
    """Where the members of one field lie, a row for each sample; a size of -1 where it has none."""

    offset: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    sha256: npt.NDArray[np.uint8]
    """(samples, 32)."""


class _Table:
    """The index of one shard, a row for each sample, and where the members of each field lie.

    Args:
        data: The index.
        field: What the video is called, of which every sample has one.

    Raises:
        KeyError: A sample has no JSON.
        ValueError: A member lies nowhere.
    """

    def __init__(self, data: bytes, *, field: str) -> None:
        # Not with Arrow's functions on columns, which import pandas, nor with its threads, which
        # may still hold the bytes, a thing of Python, when the interpreter ends.
        file = _opened(data)
        names = ["key", "field", "offset", "size", "sha256"]
        table = file.read(names, use_threads=False).combine_chunks()
        keys, fields, offset, size, sha256 = (
            column.chunk(0) if column.num_chunks else pa.array([], column.type)
            for column in table.columns
        )
        keys, numbers = _texts(keys), np.from_dlpack(fields.indices)
        if keys.view(np.uint8).max(initial=0) > 127:
            raise ValueError("keys that are not ASCII")
        offsets, sizes = np.from_dlpack(offset), np.from_dlpack(size)
        if len(table) and (min(offsets.min(), sizes.min()) < 0 or sizes.max() > _MOST_BYTES):
            raise ValueError(f"members of {sizes.min()} to {sizes.max()} bytes")
        hashes = np.frombuffer(bytes.fromhex(_texts(sha256).tobytes().decode()), np.uint8)
        hashes = hashes.reshape(-1, 32)
        rows = {
            name: np.flatnonzero(numbers == number)
            for number, name in enumerate(fields.dictionary.to_pylist())
        }
        none = np.empty(0, np.int64)
        self.keys = keys[rows.get(field, none)]
        self.members: dict[str, _Members] = {}
        for name in (field, "json", _POSE):
            found = _matched(keys, rows.get(name, none), wanted=self.keys)
            there = found >= 0
            if name != _POSE and not there.all():
                raise KeyError(f"{self.keys[~there][0].decode()}.{name}")
            self.members[name] = _Members(
                offset=np.where(there, offsets[found], -1),
                size=np.where(there, sizes[found], -1),
                sha256=hashes[found],
            )


@dataclass(frozen=True)
class _Place:
    """Where a sample is."""

    shard: str
    table: _Table
    row: int
    """In the table."""

    @property
    def key(self) -> str:
        return cast(bytes, self.table.keys[self.row]).decode()

    def has(self, field: str) -> bool:
        return self.size(field) >= 0

    def offset(self, field: str) -> int:
        return int(self.table.members[field].offset[self.row])

    def size(self, field: str) -> int:
        return int(self.table.members[field].size[self.row])

    def sha256(self, field: str) -> bytes:
        return bytes(self.table.members[field].sha256[self.row])


def _opened(data: bytes) -> Any:
    """An index, unless it would take far more memory than its size lets expect."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=["field", "text"])
    except KeyError:  # the first shards had no text
        file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=["field"])
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > _MOST_UNPACKED + _MOST_RATIO * len(data):
        raise ValueError(f"{size} bytes packed into {len(data)}")
    return file


def _texts(column: Any) -> npt.NDArray[np.bytes_]:
    """A column of ASCII text as an array."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(ends)
    if not len(lengths) or lengths.min() < lengths.max():
        return np.array([text.encode("ascii") for text in column.to_pylist()], np.bytes_)
    text = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return text.view(f"S{lengths[0]}")


def _json_of(data: bytes) -> dict[str, bytes]:
    """The JSON of each key, out of an index; the first shards did not have it there."""
    file = _opened(data)
    if "text" not in file.schema_arrow.names:
        return {}
    table = file.read(["key", "field", "text"], use_threads=False).combine_chunks()
    if not len(table):
        return {}
    keys, fields, texts = (column.chunk(0) for column in table.columns)
    known = [text if text is None else text.encode() for text in texts.dictionary.to_pylist()]
    return {
        key: known[number]
        for key, field, number in zip(
            keys.to_pylist(), fields.to_pylist(), texts.indices.to_pylist(), strict=True
        )
        if field == "json" and number is not None and known[number] is not None
    }


def _matched(
    keys: npt.NDArray[np.bytes_], rows: npt.NDArray[np.int64], *, wanted: npt.NDArray[np.bytes_]
) -> npt.NDArray[np.int64]:
    """For each wanted key, the one of the rows that has it; -1 where none has."""
    if np.array_equal(keys[rows], wanted):  # as kslds writes them
        return rows
    order = rows[np.argsort(keys[rows], kind="stable")]
    place = np.searchsorted(keys[order], wanted, side="right") - 1
    found = np.full(len(wanted), -1)
    known = place >= 0
    found[known] = order[place[known]]
    found[keys[found] != wanted] = -1
    return found


class Side:
    """The samples of one side of a split, by row.

    The index of a shard is read when its first sample is. It is kept as columns, some 200 bytes a
    sample.

    Args:
        storage: Where the dataset is.
        index: Its `index.json`, from `read_index`.
        split: The side.
        cache: Where bytes of samples are kept, if anywhere.
    """

    def __init__(
        self, storage: Storage, *, index: Mapping[str, Any], split: str, cache: Cache | None = None
    ) -> None:
        self.storage = storage
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.dataset_sha256: str = index["dataset_sha256"]
        self.has_poses = bool(index["pose_points"])
        """Have the samples keypoints?"""
        self._cache = cache
        self._encoding = ENCODINGS[index["encoding"]]
        self._folder = f"shards/{self._encoding.name}"
        shards = index["splits"][split]["shards"]
        for shard in shards:
            if not SHARD_NAME.fullmatch(shard["file"]):
                raise ValueError(f"{shard['file']!r} is not the name of a shard")
        self._shards = [f"{self._folder}/{shard['file']}" for shard in shards]
        self._sha256 = [str(shard["index_sha256"]) for shard in shards]
        samples = [shard["samples"] for shard in shards]
        if not all(type(number) is int and 0 <= number <= _MOST_SAMPLES for number in samples):
            raise ValueError(f"the numbers of samples are {samples!r:.60}")
        self._starts: list[int] = list(accumulate(samples, initial=0))
        self._tables: list[_Table | None] = [None] * len(shards)
        self._locks: dict[tuple[int, int], threading.Lock] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_locks": {}}

    def __len__(self) -> int:
        return self._starts[-1]

    def _at(self, row: int) -> _Place:
        number = bisect_right(self._starts, row) - 1
        table = self._tables[number]
        if table is None:
            # By process: a lock that was held when this one was forked is never let go here.
            with self._locks.setdefault((os.getpid(), number), threading.Lock()):
                table = self._tables[number] or self._read_table(number)
                self._tables[number] = table
        return _Place(self._shards[number], table, row - self._starts[number])

    def _read_table(self, number: int) -> _Table:
        with self._index(number) as data:
            return self._table(number, data)

    def _table(self, number: int, data: bytes) -> _Table:
        table = _Table(data, field=self._encoding.field)
        stated = self._starts[number + 1] - self._starts[number]
        if len(table.keys) != stated:
            raise ValueError(f"{len(table.keys)} samples, where index.json states {stated}")
        return table

    @contextmanager
    def _index(self, number: int) -> Iterator[bytes]:
        """The index of a shard, to be read within the block."""
        name = self._shards[number].removesuffix(".tar") + ".index.parquet"
        data = self.storage.read(name)
        at = f"{self.storage.path}: {name}"
        if hashlib.sha256(data).hexdigest() != self._sha256[number]:
            raise CorruptData(f"{at} does not have the hash that index.json states.", hint=AGAIN)
        try:
            yield data
        except (
            LookupError, TypeError, AttributeError, ValueError, OSError, pa.ArrowException
        ) as error:  # fmt: skip
            raise CorruptData(
                f"{at} is not an index of a shard: {error!r:.300}.", hint=AGAIN
            ) from error

    # one sample

    def where(self, row: int) -> str:
        """A sample's place in words: the dataset, the shard and the key."""
        return self._named(self._at(row))

    def _named(self, place: _Place) -> str:
        return f"{self.storage.path}: {place.shard}: {place.key}"

    def fields(self, row: int) -> dict[str, Any]:
        """A sample's fields, null where unknown, and its `key`; nothing of its video is read.

        Raises:
            CorruptData: The index of its shard is damaged, or the bytes are not those of the index.
        """
        place = self._at(row)
        (text,) = self._read(place, "json")
        return self._shown(place, text)

    def all_fields(self, rows: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """The fields of many samples, as `fields` gives them; read shard by shard.

        Args:
            rows: Ascending.

        Raises:
            CorruptData: As `fields`.
        """
        edges = np.searchsorted(rows, self._starts).tolist()
        tasks = (
            partial(self._fields_of, number, rows[first:last].tolist())
            for number, (first, last) in enumerate(pairwise(edges))
            if first < last
        )
        threads = 0 if self.storage.is_local else _SHARDS_AHEAD
        for found in in_order(tasks, threads=threads, ahead=threads):
            yield from found

    def _fields_of(self, number: int, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Of samples of one shard."""
        with self._index(number) as data:
            text_of = _json_of(data)
            if self._tables[number] is None:  # `_at` would fetch the same bytes for it
                self._tables[number] = self._table(number, data)
        found = []
        for row in rows:
            place = self._at(row)
            text = text_of.get(place.key)
            if text is None:
                found.append(self.fields(row))
                continue
            if hashlib.sha256(text).digest() != place.sha256("json"):
                raise CorruptData(
                    f"{self._named(place)}.json: its text in the index is another than its hash "
                    "there says.",
                    hint="Fetch the dataset again, or remove the shard and run: kslds shard DIR",
                )
            found.append(self._shown(place, text))
        return found

    def _shown(self, place: _Place, text: bytes) -> dict[str, Any]:
        """The fields in a sample's JSON, without those that are for finding its frames."""
        fields = self._parsed(place, text)
        for name in ("frame_sizes", "frame_crc32"):
            fields.pop(name, None)
        return fields

    def sample(
        self, row: int, *, frames: Frames, slot: Slot, planes: bool = False
    ) -> dict[str, Any]:
        """A sample's fields, null where unknown, with its `key`, `video` and `pose`.

        Args:
            row: The sample.
            frames: Which frames to read.
            slot: Where they go.
            planes: Not RGB but planes, (T, H * 3 / 2, W); of H.264 only.

        Returns:
            Fields; ``video`` uint8 (T, H, W, 3), the slot; ``pose`` float32 (T, P, D) where the
            side has poses, NaN where this sample has none.

        Raises:
            CorruptData: The index of its shard is damaged, the bytes are not those of the index,
                or the sample's JSON says what is not so.
            MediaError: The clip does not hold these frames.
            UsageError: The slot does not take them.
        """
        place, video = self._at(row), self._encoding.field
        names = ["json", _POSE] if place.has(_POSE) else ["json"]
        if not self._apart:
            names.append(video)
        found = dict(zip(names, self._read(place, *names), strict=True))
        fields = self._parsed(place, found["json"])
        try:
            number, height, width = (fields[n] for n in ("num_frames", "height", "width"))
            if not (0 < number <= place.size(video) and 0 < max(height, width) <= MAX_SIDE):
                raise ValueError(f"{number} frames of {width} × {height}")
            indices = frames(number)
            shape = planes_shape(height, width) if planes else (height, width, 3)
            out = slot((len(indices), *shape))
            sizes, checks = (fields.pop(n, None) for n in ("frame_sizes", "frame_crc32"))
            if self._encoding.name == "jpeg":
                if len(sizes) != number or (checks is not None and len(checks) != number):
                    raise ValueError(f"frame_sizes or frame_crc32 are not of {number} frames")
                jpegs = self._jpegs(place, found.get(video), indices, sizes=sizes, checks=checks)
                read_jpegs(jpegs, out=out)
            else:
                read_frames(found[video], indices=indices, out=out, planes=planes)
            fields["video"] = out
            if self.has_poses:
                fields["pose"] = (
                    pose.decode(found[_POSE])[indices]
                    if _POSE in found
                    else np.full((len(indices), *self._pose_shape), np.nan, np.float32)
                )
        except MediaError as error:
            raise MediaError(f"{self._named(place)}: {error.what}", code=error.code) from error
        except UsageError as error:  # from the slot
            raise UsageError(f"{self._named(place)}: {error.what}", hint=error.hint) from error
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptData(
                f"{self._named(place)}: the sample's JSON does not fit its clip: {error!r}.",
                hint=AGAIN,
            ) from error
        return fields

    @property
    def _apart(self) -> bool:
        """Are frames read one by one? Where a request costs little, and a clip is many times what
        is read of it.
        """
        return self._encoding.name == "jpeg" and self.storage.is_local and self._cache is None

    def _jpegs(
        self,
        place: _Place,
        video: bytes | None,
        indices: Sequence[int],
        *,
        sizes: Sequence[int],
        checks: Sequence[int] | None,
    ) -> list[bytes]:
        """Frames of a clip, out of its bytes or from where it is stored."""
        field = self._encoding.field
        ends = list(accumulate(sizes))
        if min(sizes) < 0 or ends[-1] != place.size(field):
            raise ValueError(f"frames of {ends[-1]} bytes in a clip of {place.size(field)}")
        if video is None and checks is None:  # written before frames had checks
            (video,) = self._read(place, field)
        if video is not None:
            return [video[ends[i] - sizes[i] : ends[i]] for i in indices]
        start = place.offset(field)
        spans = [(start + ends[i] - sizes[i], sizes[i]) for i in indices]
        jpegs = self.storage.read_parts(place.shard, spans)
        wanted = cast("Sequence[int]", checks)
        if [zlib.crc32(jpeg) for jpeg in jpegs] != [wanted[i] for i in indices]:
            raise self._wrong_bytes(place, field)
        return jpegs

    @cached_property
    def _pose_shape(self) -> tuple[int, ...]:
        """(P, D)."""
        places = (self._at(row) for row in range(len(self)))
        first = next((place for place in places if place.has(_POSE)), None)
        if first is None:
            raise ValueError("index.json names points, and no sample has any")
        (data,) = self._read(first, _POSE)
        return pose.decode(data).shape[1:]

    def _parsed(self, place: _Place, text: bytes) -> dict[str, Any]:
        try:
            fields: dict[str, Any] = json.loads(text)
            label = fields.pop("label")
            if label is not None and (type(label) is not int or not 0 <= label < len(self.classes)):
                raise ValueError(f"label {label!r:.40} of {len(self.classes)}")
            later = dict.fromkeys(schema.LATER)  # shards may be from before these
            return {"key": place.key, "label": label} | later | fields | {"key": place.key}
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptData(
                f"{self._named(place)}.json is not the JSON of a sample: {error!r}.", hint=AGAIN
            ) from error

    def _wrong_bytes(self, place: _Place, name: str) -> CorruptData:
        return CorruptData(
            f"{self.storage.path}: {place.shard}: the bytes of {place.key}.{name} are not those of "
            "its index.",
            hint=AGAIN,
        )

    def _read(self, place: _Place, *names: str) -> list[bytes]:
        """The bytes of members that lie side by side, checked against the index."""
        spans = [(place.offset(name), place.size(name)) for name in names]
        hashes = [place.sha256(name) for name in names]
        start = min(offset for offset, _ in spans)
        size = max(offset + size for offset, size in spans) - start

        def cut(data: bytes) -> tuple[list[bytes], list[str]]:
            """The members, and the names of those that are other bytes."""
            parts = [data[offset - start : offset - start + length] for offset, length in spans]
            found = [hashlib.sha256(part).digest() for part in parts]
            return parts, [n for n, a, b in zip(names, found, hashes, strict=True) if a != b]

        entry = "" if self._cache is None else name_of(*hashes)
        if self._cache is not None and (cached := self._cache.get(entry)) is not None:
            parts, wrong = cut(cached)
            if not wrong:
                return parts
        data = self.storage.read(place.shard, start=start, size=size)
        parts, wrong = cut(data)
        if wrong:
            raise self._wrong_bytes(place, wrong[0])
        if self._cache is not None:
            self._cache.put(entry, data)
        return parts


def read_index(storage: Storage, *, encoding: str | None) -> dict[str, Any]:
    """The `index.json` of an encoding, or of the first that the dataset has.

    Raises:
        IncompleteDataset: There is none, or its format is newer than this package.
        CorruptData: It is not such an index.
    """
    for name in [encoding] if encoding else list(ENCODINGS):
        try:
            index: dict[str, Any] = json.loads(storage.read(f"shards/{name}/index.json"))
        except MissingFile:
            continue
        except (ValueError, RecursionError) as error:
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json is not JSON: {error}.", hint=AGAIN
            ) from error
        if not isinstance(index, dict) or not isinstance(index.get("splits"), dict):
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json is not an index of shards.", hint=AGAIN
            )
        version = index.get("format_version")
        if isinstance(version, int) and version > schema.FORMAT_VERSION:
            raise IncompleteDataset(
                f"{storage.path} has a newer format than this kslds reads.", hint="Upgrade kslds."
            )
        if index.get("encoding") != name:
            raise CorruptData(
                f"{storage.path}: shards/{name}/index.json names the encoding "
                f"{index.get('encoding')!r:.60}; expected {name!r}.",
                hint=AGAIN,
            )
        return index
    raise IncompleteDataset(
        f"{storage.path} has no finished shards (no shards/{encoding or '<encoding>'}/index.json).",
        hint="Check the address, or run: kslds shard DIR",
    )
