"""Shards: rendered clips copied into WebDataset tars and Parquet, side by side of a split.

Bytes are copied, never encoded again. A sample is ``<clip_id>.<field>`` and
``<clip_id>.json``; every sample has the same fields. ``index.json`` is written last and
names every shard with its size and hash: without it, or with a shard that differs, there
is no finished shard folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kslds import pack, schema
from kslds.engine import Progress
from kslds.errors import CorruptData, IncompleteDataset, RecipeError
from kslds.manifest import Dataset, canonical_json, readable_json, sha256_file, write_atomic
from kslds.manifest import write_bytes as write_file
from kslds.schema import Clip, SplitRow
from kslds.video import ENCODINGS

FORMATS = ("webdataset", "parquet")

_ROW_GROUP_BYTES = 100 << 20
"""The Hub's viewer refuses row groups much above this (HUB guide: 100–300 MB)."""


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """The `[shards]` part of a recipe.

    Raises:
        RecipeError: A format or encoding is unknown, or the size is not positive.
    """

    formats: tuple[str, ...] = ("webdataset", "parquet")
    encodings: tuple[str, ...] = ("h264",)
    max_mb: int = 256

    def __post_init__(self) -> None:
        for key, given, known in (
            ("formats", self.formats, FORMATS),
            ("encodings", self.encodings, tuple(ENCODINGS)),
        ):
            unknown = [name for name in given if name not in known]
            if unknown or not given:
                raise RecipeError(
                    f"[shards] {key} = {list(given)}: expected some of {', '.join(known)}."
                )
        if "parquet" in self.formats and "h264" not in self.encodings:
            raise RecipeError('[shards] the format "parquet" holds the encoding "h264"; add it.')
        if self.max_mb < 1:
            raise RecipeError(f"[shards] max_mb = {self.max_mb}: expected at least 1.")


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Where a clip's bytes lie, and what its JSON says."""

    clip: Clip
    tar: Path
    fields: Mapping[str, Any]


def sample_fields(clip: Clip, *, classes: Mapping[str, int]) -> dict[str, Any]:
    """What the JSON of a sample says: the same fields in every sample, null where unknown.

    ``label`` is the index of ``gloss_id`` among the dataset's sorted glosses.
    """
    return {
        "clip_id": clip.clip_id,
        "recording_id": clip.recording_id,
        "source_file": clip.source_file,
        "gloss_id": clip.gloss_id,
        "label": None if clip.gloss_id is None else classes[clip.gloss_id],
        "emotion": clip.emotion,
        "sentence": clip.sentence,
        "translation": clip.translation,
        "signer_id": clip.signer_id,
        "start_ms": clip.start_ms,
        "end_ms": clip.end_ms,
        "first_frame": clip.first_frame,
        "last_frame": clip.last_frame,
        "num_frames": clip.num_frames,
        "fps_num": clip.fps_num,
        "fps_den": clip.fps_den,
        "width": clip.width,
        "height": clip.height,
        "frames_sha256": clip.frames_sha256,
    }


def _in_order(clips: Iterable[Clip]) -> list[Clip]:
    """An order that mixes signers and classes, for readers that only read on; the same always.

    The first few clips of the order together have every field that any clip has, since
    Hugging Face `datasets` takes the types of all samples from the first five of a shard.
    """
    order = sorted(clips, key=lambda c: hashlib.sha256(c.clip_id.encode()).digest())
    leaders: list[Clip] = []
    nullable = ("gloss_id", "emotion", "sentence", "translation")
    missing = {name for name in nullable if any(getattr(c, name) for c in order)}
    while missing:
        best = max(order, key=lambda c: sum(getattr(c, name) is not None for name in missing))
        leaders.append(best)
        missing -= {name for name in missing if getattr(best, name) is not None}
    return [*leaders, *(c for c in order if c not in leaders)] if leaders else order


def _locate(dataset: Dataset, encoding: str) -> dict[str, tuple[Path, list[pack.Member]]]:
    """clip_id → the pack it is in and its members."""
    found: dict[str, tuple[Path, list[pack.Member]]] = {}
    for tar in sorted((dataset.root / "clips" / encoding).glob("*.tar")):
        members, _, _ = pack.read_index(tar)
        grouped: dict[str, list[pack.Member]] = defaultdict(list)
        for member in members:
            grouped[member.key].append(member)
        found |= {key: (tar, group) for key, group in grouped.items()}
    return found


def _samples(
    clips: Sequence[Clip],
    *,
    located: Mapping[str, tuple[Path, list[pack.Member]]],
    classes: Mapping[str, int],
    encoding: str,
) -> Iterator[tuple[_Sample, bytes]]:
    """Each clip with its bytes, read from the packs and checked against their hashes."""
    field = ENCODINGS[encoding].field
    with ExitStack() as stack:
        open_packs: dict[Path, pack.PackReader] = {}
        for clip in clips:
            if clip.clip_id not in located:
                raise IncompleteDataset(
                    f"clip {clip.clip_id} has not been rendered as {encoding}.",
                    hint="Run: kslds resize DIR",
                )
            tar, _ = located[clip.clip_id]
            if tar not in open_packs:
                if len(open_packs) >= 256:  # far below the usual limit of open files
                    stack.pop_all().close()
                    open_packs.clear()
                open_packs[tar] = stack.enter_context(pack.PackReader(tar))
            reader = open_packs[tar]
            fields = sample_fields(clip, classes=classes)
            if encoding == "jpeg":
                facts = json.loads(reader.read(clip.clip_id, field="json"))
                fields["frame_sizes"] = facts["frame_sizes"]
            yield (
                _Sample(clip=clip, tar=tar, fields=fields),
                reader.read(clip.clip_id, field=field),
            )


def _write_tars(
    samples: Iterable[tuple[_Sample, bytes]], *, folder: Path, side: str, encoding: str, limit: int
) -> list[dict[str, Any]]:
    field = ENCODINGS[encoding].field
    shards: list[dict[str, Any]] = []
    stack = ExitStack()
    writer: pack.PackWriter | None = None
    count = 0

    def path() -> Path:
        return folder / f"{side}-{len(shards):05d}.tar"

    def close() -> None:
        stack.close()
        _, digest, size = pack.read_index(path())
        index = pack.index_path(path())
        shards.append(
            {
                "file": path().name,
                "samples": count,
                "size": size,
                "sha256": digest,
                "index_size": index.stat().st_size,
                "index_sha256": sha256_file(index),
            }
        )

    with stack:
        for sample, data in samples:
            text = canonical_json(sample.fields)
            if writer is not None and writer.size + len(data) + len(text) > limit and count:
                close()
                writer, count = None, 0
            if writer is None:
                writer = stack.enter_context(pack.writing(path()))
            writer.add(sample.clip.clip_id, field=field, data=data)
            writer.add(sample.clip.clip_id, field="json", data=text)
            count += 1
        if writer is not None:
            close()
    return shards


def _parquet_schema(classes: Sequence[str]) -> pa.Schema:
    """Columns of the Parquet shards, with the metadata that makes the Hub show a video."""
    kinds: dict[str, pa.DataType] = {
        "video": pa.struct({"bytes": pa.binary(), "path": pa.string()})
    }
    features: dict[str, Any] = {"video": {"_type": "Video"}}
    for name, kind in _FIELD_TYPES.items():
        kinds[name] = kind
        features[name] = {"dtype": str(kind), "_type": "Value"}
    features["label"] = {"names": list(classes), "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)}
    return pa.schema(list(kinds.items()), metadata=metadata)


_FIELD_TYPES = {
    f.name: f.type
    for f in schema.arrow_schema(Clip)
    if f.name not in ("segment_id", "first_pts", "last_pts", "resampled", "psnr_db")
} | {"label": pa.int64()}


def _write_parquet(
    samples: Iterable[tuple[_Sample, bytes]],
    *,
    folder: Path,
    side: str,
    classes: Sequence[str],
    limit: int,
) -> list[dict[str, Any]]:
    columns = _parquet_schema(classes)
    shards: list[dict[str, Any]] = []

    def flush(file_rows: list[list[dict[str, Any]]]) -> None:
        path = folder / f"{side}-{len(shards):05d}.parquet"
        with (
            write_atomic(path) as file,
            pq.ParquetWriter(
                file,
                columns,
                compression="zstd",
                use_dictionary=["gloss_id", "emotion", "signer_id", "recording_id", "source_file"],
                write_page_index=True,
            ) as writer,
        ):
            for rows in file_rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=columns))
        shards.append(
            {
                "file": path.name,
                "samples": sum(map(len, file_rows)),
                "size": path.stat().st_size,
                "sha256": sha256_file(path),
            }
        )

    groups: list[list[dict[str, Any]]] = []
    in_group = in_file = 0
    for sample, data in samples:
        if groups and in_file + len(data) > limit:
            flush(groups)
            groups, in_group, in_file = [], 0, 0
        if not groups or in_group + len(data) > _ROW_GROUP_BYTES:
            groups.append([])
            in_group = 0
        video = {"bytes": data, "path": f"{sample.clip.clip_id}.mp4"}
        groups[-1].append({"video": video, **sample.fields})
        in_group += len(data)
        in_file += len(data)
    if groups:
        flush(groups)
    return shards


def _sides(dataset: Dataset, name: str | None) -> tuple[str, dict[str, str]]:
    """The split to shard by, and signer_id → side."""
    names = sorted(p.stem for p in (dataset.root / "tables" / "splits").glob("*.parquet"))
    if not names:
        raise IncompleteDataset(f"{dataset.root} has no split yet.", hint="Run: kslds split DIR")
    chosen = name or names[0]
    if chosen not in names:
        raise IncompleteDataset(f"there is no split {chosen!r}; there are {', '.join(names)}.")
    return chosen, {r.value: r.split for r in dataset.read(f"splits/{chosen}", SplitRow)}


def shard(
    dataset: Dataset,
    *,
    options: ShardOptions,
    split: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Copy rendered clips into shards, one set per side of a split.

    Args:
        dataset: Holds rendered clips and a split.
        options: Formats, encodings, and the size at which a new shard begins.
        split: Name of the split to shard by; the first by name if not given.
        name: Name of the dataset, kept in the index.
        progress: Told after each side.

    Raises:
        IncompleteDataset: Clips or a split are missing.
        CorruptData: A rendered clip's bytes changed.
    """
    chosen, sides = _sides(dataset, split)
    clips = [c for c in dataset.read("clips", Clip) if c.signer_id in sides]
    if any(c.width is None for c in clips):
        raise IncompleteDataset("the clips have not been rendered.", hint="Run: kslds resize DIR")
    names = sorted({c.gloss_id for c in clips if c.gloss_id is not None})
    classes = {gloss_id: i for i, gloss_id in enumerate(names)}
    by_side: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_side[sides[clip.signer_id or ""]].append(clip)
    content = hashlib.sha256(
        canonical_json(
            [
                [sides[c.signer_id or ""], sample_fields(c, classes=classes)]
                for c in sorted(clips, key=lambda c: c.clip_id)
            ]
        )
    ).hexdigest()

    written: dict[str, Any] = {}
    steps = len(by_side) * (len(options.encodings) + ("parquet" in options.formats))
    done = 0
    if progress is not None:
        progress("shard", 0, steps)
    for kind in [*options.encodings, *(["parquet"] if "parquet" in options.formats else [])]:
        encoding = "h264" if kind == "parquet" else kind
        if kind != "parquet" and "webdataset" not in options.formats:
            continue
        located = _locate(dataset, encoding)
        folder = dataset.root / ("parquet" if kind == "parquet" else f"shards/{kind}")
        document: dict[str, Any] = {
            "format_version": schema.FORMAT_VERSION,
            "name": name,
            "encoding": encoding,
            "split": chosen,
            "dataset_sha256": content,
            "made_from": hashlib.sha256(
                canonical_json(
                    [content, options.max_mb, sorted({t.name for t, _ in located.values()})]
                )
            ).hexdigest(),
            "classes": names,
            "splits": {},
        }
        finished = _finished(folder, made_from=document["made_from"])
        if finished is not None:
            written[kind] = finished
            done += len(by_side)
            if progress is not None:
                progress("shard", done, steps)
            continue
        for side, members in sorted(by_side.items()):
            samples = _samples(
                _in_order(members), located=located, classes=classes, encoding=encoding
            )
            limit = options.max_mb * 1_000_000
            if kind == "parquet":
                shards = _write_parquet(
                    samples, folder=folder, side=side, classes=names, limit=limit
                )
            else:
                shards = _write_tars(
                    samples, folder=folder, side=side, encoding=encoding, limit=limit
                )
            document["splits"][side] = {
                "samples": sum(s["samples"] for s in shards),
                "signers": sorted({c.signer_id or "" for c in members}),
                "shards": shards,
            }
            done += 1
            if progress is not None:
                progress("shard", done, steps)
        write_file(folder / "index.json", readable_json(document))
        _sweep(folder, document)
        written[kind] = document
    out = sum(s["samples"] for d in list(written.values())[:1] for s in d["splits"].values())
    dataset.close_books("shard", rows_in=len(clips), rows_out=out)
    dataset.update_provenance(dataset_sha256=content, classes=names, split=chosen)


def _finished(folder: Path, *, made_from: str) -> dict[str, Any] | None:
    """The index of shards that were already made from the same clips, if all are there."""
    try:
        document: dict[str, Any] = json.loads((folder / "index.json").read_bytes())
        if document["made_from"] != made_from:
            return None
        entries = [e for side in document["splits"].values() for e in side["shards"]]
        whole = all((folder / e["file"]).stat().st_size == e["size"] for e in entries)
        for entry in entries:
            _check_index(folder, entry)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, CorruptData):
        return None
    return document if whole else None


def _sweep(folder: Path, document: Mapping[str, Any]) -> None:
    """Delete shards of an earlier run that the index does not name."""
    files = {s["file"] for side in document["splits"].values() for s in side["shards"]}
    files |= {pack.index_path(Path(f)).name for f in files} | {"index.json"}
    for path in folder.iterdir():
        if path.is_file() and path.name not in files:
            path.unlink()


def export(dataset: Dataset, *, out: Path, split: str | None = None) -> int:
    """Write the clips as plain files, one folder a side, which `datasets` calls a VideoFolder.

    Each folder has ``<clip_id>.mp4`` and a ``metadata.csv`` with the fields of the samples.

    Args:
        dataset: Holds rendered clips and a split.
        out: Where the folders go.
        split: The split whose sides become folders; the first by name if not given.

    Returns:
        Number of clips written.

    Raises:
        IncompleteDataset: Clips or a split are missing.
    """
    _, sides = _sides(dataset, split)
    clips = [c for c in dataset.read("clips", Clip) if c.signer_id in sides]
    names = sorted({c.gloss_id for c in clips if c.gloss_id is not None})
    classes = {gloss_id: i for i, gloss_id in enumerate(names)}
    located = _locate(dataset, "h264")
    for side in sorted(set(sides.values())):
        members = [c for c in clips if sides[c.signer_id or ""] == side]
        rows = io.StringIO()
        writer: csv.DictWriter[str] | None = None
        for sample, data in _samples(members, located=located, classes=classes, encoding="h264"):
            file_name = f"{sample.clip.clip_id}.mp4"
            write_file(out / side / file_name, data)
            row = {"file_name": file_name, **sample.fields}
            writer = writer or csv.DictWriter(rows, list(row), lineterminator="\n")
            if not rows.tell():
                writer.writeheader()
            writer.writerow(row)
        write_file(out / side / "metadata.csv", rows.getvalue().encode())
    return len(clips)


def verify(folder: Path) -> dict[str, Any]:
    """The index of a shard folder, once every file it names has its size and hash.

    Raises:
        IncompleteDataset: There is no index: the shards were not finished.
        CorruptData: A shard is missing or differs.
    """
    index = folder / "index.json"
    if not index.is_file():
        raise IncompleteDataset(
            f"{folder} has no index.json: its shards were not finished.",
            hint="Run: kslds shard DIR",
        )
    try:
        document: dict[str, Any] = json.loads(index.read_bytes())
        entries = [entry for side in document["splits"].values() for entry in side["shards"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptData(f"{index} is damaged: {error}.", hint="Run: kslds shard DIR") from error
    for entry in entries:
        path = folder / entry["file"]
        if not path.is_file() or path.stat().st_size != entry["size"]:
            raise CorruptData(f"{path} is missing or has another size than index.json says.")
        if sha256_file(path) != entry["sha256"]:
            raise CorruptData(f"{path} does not have the hash that index.json states.")
        _check_index(folder, entry)
    return document


def _check_index(folder: Path, entry: Mapping[str, Any]) -> None:
    """Has the index beside a tar the hash that ``index.json`` states?"""
    index = pack.index_path(folder / entry["file"])
    if "index_sha256" in entry and (
        not index.is_file() or sha256_file(index) != entry["index_sha256"]
    ):
        raise CorruptData(f"{index} does not have the hash that index.json states.")
