"""What a release holds, read from its shards and not from what was meant to be in them.

From this follow whether it may be published (`check_consent`, `licences`), whether the
files are whole (`check_files`), and the dataset card (`card`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData

from kslds import engine, pack, schema
from kslds.codes import CODES
from kslds.errors import ConsentError, CorruptData, IncompleteDataset, UsageError
from kslds.licences import strictest
from kslds.manifest import Dataset, sha256_file

_SHARD = "Run: kslds shard DIR"
_UNNAMED = "(no signer named)"
_MOST_CLASSES = 1000
_USUAL_SIDES = ("train", "validation", "valid", "val", "dev", "test")
_MEDIA = {"mp4": "video", "jpg": "image", "jpeg": "image", "png": "image", "webp": "image"}
_DTYPES = {"double": "float64", "null": "string"}
# The data licences that the Hub knows, as it spells them; it refuses a card with another one.
_HUB_LICENCES = {
    "apache-2.0", "mit", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "odc-by", "odbl", "pddl", "gfdl", "unlicense",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a release: path from its top with `/`, size in bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _Shard:
    side: str
    samples: int
    data: File
    index: File | None


@dataclass(kw_only=True)
class Side:
    """What one side of the split holds."""

    clips: list[str] = field(default_factory=list)
    signers: set[str] = field(default_factory=set)
    duration_ms: int = 0


@dataclass(kw_only=True)
class Release:
    """The shards of a dataset, and what their samples say.

    Args:
        name: Name of the dataset, where it has one.
        dataset_sha256: Hash of all samples' descriptions, hex.
        folders: Where shards lie (`shards/h264`, `parquet`), each with its `index.json`.
        sides: Side of the split → what it holds; sides without clips are left out.
        classes: `gloss_id` → number of clips, in the order of the labels.
        recordings: The recordings that clips were cut from.
        sizes: Width and height of the clips, in pixels.
        features: Folder → the fields of its samples, as a dataset card lists them.
    """

    name: str | None
    dataset_sha256: str
    folders: dict[str, list[_Shard]]
    sides: dict[str, Side] = field(default_factory=dict)
    classes: Counter[str] = field(default_factory=Counter)
    recordings: set[str] = field(default_factory=set)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    signer_of: dict[str, str] = field(default_factory=dict)
    features: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def signers(self) -> list[str]:
        """Everybody who is seen in a clip."""
        return sorted(set(self.signer_of.values()))

    def add(self, side: str, sample: dict[str, Any]) -> None:
        """Count one sample."""
        signer = sample["signer_id"] or _UNNAMED
        here = self.sides.setdefault(side, Side())
        here.clips.append(sample["clip_id"])
        here.signers.add(signer)
        here.duration_ms += sample["end_ms"] - sample["start_ms"]
        self.signer_of[sample["clip_id"]] = signer
        self.recordings.add(sample["recording_id"])
        self.sizes.add((sample["width"], sample["height"]))
        if sample["gloss_id"] is not None:
            self.classes[sample["gloss_id"]] += 1


# --------------------------------------------------------------------------- reading


def read_release(dataset: Dataset) -> Release:
    """Read the shards' indexes and every sample's description.

    Raises:
        IncompleteDataset: There are no shards, they do not belong together, or the tables
            do not list a clip like this any more.
        CorruptData: An index or a description is not usable.
    """
    root = dataset.root
    paths = sorted((root / "shards").glob("*/index.json"))
    if not paths:
        raise IncompleteDataset(f"{root} has no finished shards.", hint=_SHARD)
    paths.sort(key=lambda path: (path.parent.name != "h264", path))
    if (root / "parquet" / "index.json").is_file():
        paths.append(root / "parquet" / "index.json")
    folders = {path.parent.relative_to(root).as_posix(): _read_index(path) for path in paths}
    documents = [document for document, _ in folders.values()]
    if len({document["dataset_sha256"] for document in documents}) > 1:
        raise IncompleteDataset(
            f"{root}: {', '.join(folders)} were built from different tables.",
            hint="Build them again with kslds shard, or delete the folder you no longer need.",
        )
    release = Release(
        name=documents[0].get("name"),
        dataset_sha256=documents[0]["dataset_sha256"],
        folders={folder: shards for folder, (_, shards) in folders.items()},
        classes=Counter(dict.fromkeys(documents[0]["classes"], 0)),
    )
    for folder in release.folders:
        clips = _read_folder(root, release, folder)
        if clips != {clip: side for side, s in release.sides.items() for clip in s.clips}:
            raise IncompleteDataset(
                f"{root / folder} holds other clips than {next(iter(folders))}.", hint=_SHARD
            )
    if not release.sides:
        raise IncompleteDataset(f"{root}: the shards hold no clips.", hint=_SHARD)
    release.sides = dict(sorted(release.sides.items(), key=_side_order))
    _check_current(dataset, release)
    return release


def _side_order(item: tuple[str, Side]) -> tuple[int, str]:
    usual = item[0] in _USUAL_SIDES
    return (_USUAL_SIDES.index(item[0]) if usual else len(_USUAL_SIDES), item[0])


def _read_index(path: Path) -> tuple[dict[str, Any], list[_Shard]]:
    shards = []
    try:
        document = json.loads(path.read_bytes())
        if document["format_version"] > schema.FORMAT_VERSION:
            raise IncompleteDataset(f"{path} is by a newer kslds.", hint="Upgrade kslds.")
        if not re.fullmatch(r"[0-9a-f]{64}", document["dataset_sha256"]):
            raise ValueError("dataset_sha256 is not a hash")
        for side, held in document["splits"].items():
            for row in held["shards"]:
                # Also keeps a name from leading out of the folder.
                if not pack.SHARD_NAME.fullmatch(row["file"]):
                    raise ValueError(f"{row['file']!r} is not the name of a shard")
                shards.append(_shard(path.parent, side, row))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptData(f"{path} is not an index of shards: {error!r}.", hint=_SHARD) from error
    return document, shards


def _shard(folder: Path, side: str, row: dict[str, Any]) -> _Shard:
    below = "parquet" if folder.name == "parquet" else f"shards/{folder.name}"
    name, index = row["file"], None
    if name.endswith(".tar"):
        index = File(
            path=f"{below}/{pack.index_path(Path(name)).name}",
            size=row["index_size"],
            sha256=row["index_sha256"],
        )
    data = File(path=f"{below}/{name}", size=row["size"], sha256=row["sha256"])
    for file in filter(None, (data, index)):
        if not (folder / Path(file.path).name).is_file():
            raise IncompleteDataset(f"{folder / Path(file.path).name} is missing.", hint=_SHARD)
    return _Shard(side=side, samples=row["samples"], data=data, index=index)


def _read_folder(root: Path, release: Release, folder: str) -> dict[str, str]:
    """Clip → side of one folder. The samples of the first folder are counted."""
    clips: dict[str, str] = {}
    kinds: list[pa.Schema] = []
    members: list[pack.Member] = []
    counted = not release.sides
    for shard in release.folders[folder]:
        path = root / shard.data.path
        try:
            if shard.index is None:
                table = pq.read_table(path, columns=["clip_id", "signer_id"])
                samples = table.to_pylist()
            else:
                with pack.PackReader(path) as reader:
                    samples = list(_documents(reader))
                    members = members or reader.members
                kinds.append(pa.schema(list(pa.array(samples).type)))
            if len(samples) != shard.samples:
                raise ValueError(f"it holds {len(samples)} samples, not {shard.samples}")
            for sample in samples:
                clips[sample["clip_id"]] = shard.side
                if counted:
                    release.add(shard.side, sample)
                elif release.signer_of.get(sample["clip_id"]) != (sample["signer_id"] or _UNNAMED):
                    raise ValueError(f"{sample['clip_id']} has another signer elsewhere")
        except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise CorruptData(f"{path} is not usable: {error!r}.", hint=_SHARD) from error
    if kinds:
        document = pa.unify_schemas(kinds, promote_options="permissive")
        release.features[folder] = _features(members, document)
    return clips


def _documents(reader: pack.PackReader) -> Iterator[dict[str, Any]]:
    for key in reader.keys:
        sample = json.loads(reader.read(key, field="json"))
        if sample["clip_id"] != key:
            raise ValueError(f"{key} says that it is {sample['clip_id']!r}")
        yield sample


def _features(members: Iterable[pack.Member], document: pa.Schema) -> list[dict[str, Any]]:
    """The fields of a sample with their types.

    Without them `datasets` takes the types from the first five samples of the last side,
    and fails on a field that is null there and not elsewhere.
    """
    listed = []
    for name in dict.fromkeys(member.field for member in members):
        if name == "json":
            listed.append({"name": name, "struct": [_feature(f.name, f.type) for f in document]})
        else:
            listed.append({"name": name, "dtype": _MEDIA.get(name, "binary")})
    return [*listed, *({"name": name, "dtype": "string"} for name in ("__key__", "__url__"))]


def _feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"name": name, "list": _feature(name, kind.value_type)["dtype"]}
    return {"name": name, "dtype": _DTYPES.get(str(kind), str(kind))}


# --------------------------------------------------------------------------- checks


def _check_current(dataset: Dataset, release: Release) -> None:
    table = dataset.arrow("clips")
    clips, signers = (table[name].to_pylist() for name in ("clip_id", "signer_id"))
    known = {clip: signer or _UNNAMED for clip, signer in zip(clips, signers, strict=True)}
    stale = sorted(c for c, signer in release.signer_of.items() if known.get(c) != signer)
    if stale:
        raise IncompleteDataset(
            f"the shards are older than the tables: {len(stale)} clip(s) are not listed any "
            f"more, or with another signer ({', '.join(stale[:3])}).",
            hint=_SHARD,
        )


def check_files(
    dataset: Dataset, release: Release, *, progress: engine.Progress | None = None
) -> list[File]:
    """Hash every file of the shards and compare it with its index; returns them by path.

    Raises:
        CorruptData: A file is not what its index says.
    """
    shards = [shard for folder in release.folders.values() for shard in folder]
    files = [file for shard in shards for file in (shard.data, shard.index) if file is not None]

    def check(file: File) -> File:
        path = dataset.root / file.path
        if path.stat().st_size != file.size or sha256_file(path) != file.sha256:
            raise CorruptData(
                f"{path} is not what its index.json says.", hint=f"Delete it. {_SHARD}"
            )
        return file

    files.sort(key=lambda file: file.path)
    return list(engine.run(check, files, stage="check", progress=progress))


def check_consent(dataset: Dataset, release: Release) -> None:
    """Has everybody who is seen agreed to publication, and nobody withdrawn?

    Raises:
        ConsentError: Somebody has not.
    """
    signers = {signer.signer_id: signer for signer in dataset.read("signers", schema.Signer)}
    refused = []
    for signer_id in release.signers:
        signer = signers.get(signer_id)
        if signer is not None and signer.consent_withdrawn:
            refused.append(f"{signer_id}: withdrawn")
        elif signer is None or signer.consent_scope is None:
            refused.append(f"{signer_id}: none recorded")
        elif signer.consent_scope != "publication":
            refused.append(f"{signer_id}: {signer.consent_scope} only")
    if refused:
        raise ConsentError(
            f"{len(refused)} of {len(release.signers)} signers have not consented to publication "
            f"({'; '.join(refused[:10])}{'; …' if len(refused) > 10 else ''}).",
            hint='Record it in the file that "signers" under [ingest] names, in the column '
            "consent_scope, or leave these signers out of the split; then build again.",
        )


def licences(dataset: Dataset, release: Release) -> list[str]:
    """The licences of the recordings that clips were cut from.

    Raises:
        UsageError: One has no licence.
    """
    stated = dataset.provenance.get("licence")
    recordings = dataset.read("recordings", schema.Recording)
    own = {recording.recording_id: recording.licence for recording in recordings}
    found = {key: own.get(key) or stated for key in release.recordings}
    without = {key for key, licence in found.items() if not licence}
    if without:
        origins = {row.corpus for row in recordings if row.recording_id in without and row.corpus}
        of = f" of {', '.join(sorted(origins))}" if origins else ""
        again = "that dataset and merge again" if origins else "again"
        raise UsageError(
            f"the licence of {len(without)} recording(s){of} is not known: what has none may not "
            "be passed on.",
            hint='Set it at the top of the recipe, such as licence = "CC-BY-SA-4.0", and build '
            f"{again}.",
        )
    return sorted(set(map(str, found.values())))


# --------------------------------------------------------------------------- the card


def card(
    dataset: Dataset,
    *,
    repo: str,
    tag: str,
    gated: str | None = "manual",
    language: Sequence[str] = ("sgn",),
    release: Release | None = None,
) -> str:
    """The dataset card, README.md: metadata that loads the data, and what to know about it.

    It names signers by pseudonym only through their number, and no file, place or date.

    Args:
        dataset: A dataset whose shards are built.
        repo: Repository, `org/name`.
        tag: Name of the release.
        gated: Who gets access: `manual`, `auto` or `none`.
        language: ISO 639 codes.
        release: What `read_release` found, where that is known already.

    Raises:
        UsageError: No licence is known.
        IncompleteDataset: Shards are missing, or older than the tables.
        CorruptData: A shard is not usable.
    """
    release = release or read_release(dataset)
    licence = licences(dataset, release)
    name = release.name or repo.split("/")[-1]
    gate = _GATE if gated in ("auto", "manual") else {}
    metadata = DatasetCardData(
        pretty_name=name,
        language=list(language),
        **_licence_metadata(licence),
        task_categories=["video-classification"],
        size_categories=_size_category(sum(len(side.clips) for side in release.sides.values())),
        tags=["sign-language", "isolated-sign-recognition", "video", "webdataset", "kslds"],
        configs=_configs(release),
        dataset_info=_dataset_info(release),
        **gate,
    )
    sections = [
        f"# {_text(name)}",
        *_introduction(release, repo=repo, tag=tag, gated=bool(gate)),
        *_contents(dataset, release),
        *_making(dataset, release),
        *_rights(repo=repo, licence=licence),
        *_limits(release),
        *_citation(name, repo=repo, tag=tag),
    ]
    return f"---\n{metadata.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


_GATE: dict[str, Any] = {
    "extra_gated_heading": "Access to recordings of people",
    "extra_gated_prompt": (
        "The clips show people who agreed to be seen for research on sign languages. By asking "
        "for access you agree: not to identify the signers or to link them to other data; not to "
        "use the clips for face recognition or to imitate a person; to bind whomever you pass "
        "clips on to by these terms; and to delete the clips of a signer when a later release no "
        "longer holds them."
    ),
    "extra_gated_fields": {
        "Affiliation": "text",
        "Country": "country",
        "Purpose": {
            "type": "select",
            "options": ["Research", "Education", {"label": "Other", "value": "other"}],
        },
        "I agree to these terms and to the licence": "checkbox",
        "I will not try to identify the signers": "checkbox",
    },
}


def _licence_metadata(licence: Sequence[str]) -> dict[str, Any]:
    together = strictest(licence) or ""
    known = [text.lower() for text in together.split(" AND ")]
    if _HUB_LICENCES.issuperset(known):
        return {"license": known[0] if len(known) == 1 else known}
    name = re.sub(r"[^a-z0-9.]+", "-", " ".join(known)).strip("-")
    return {"license": "other", "license_name": name[:80].rstrip("-") or "custom"}


def _size_category(clips: int) -> str:
    bounds = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"]
    power = next((i for i in range(len(bounds)) if clips < 10 ** (i + 3)), len(bounds))
    if power == 0:
        return "n<1K"
    return f"{bounds[power - 1]}<n<{bounds[power]}" if power < len(bounds) else "n>1T"


def _loadable(release: Release) -> dict[str, str]:
    """Config name → folder.

    `datasets` reads all configs of a repository with one reader, chosen by the first config's
    files (datasets#6447), so that tars cannot be configs beside Parquet.
    """
    if "parquet" in release.folders:
        return {"default": "parquet"}
    first, *others = release.folders
    return {"default": first, **{folder.split("/")[1]: folder for folder in others}}


def _configs(release: Release) -> list[dict[str, Any]]:
    suffix = "parquet" if "parquet" in release.folders else "tar"
    return [
        {
            "config_name": name,
            **({"default": True} if name == "default" else {}),
            # Five characters, not `*`: `train-*` would also take the side `train-small`.
            "data_files": [
                {"split": side.replace("-", "_"), "path": f"{folder}/{side}-?????.{suffix}"}
                for side in release.sides
            ],
        }
        for name, folder in _loadable(release).items()
    ]


def _dataset_info(release: Release) -> list[dict[str, Any]] | None:
    """The types of samples in tars; Parquet states its own."""
    listed = [
        {"config_name": name, "features": release.features[folder]}
        for name, folder in _loadable(release).items()
        if folder in release.features
    ]
    return listed or None


def _text(value: object) -> str:
    """A value as plain Markdown text on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(str(value).split()))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)


def _time(duration_ms: int) -> str:
    """As h:mm:ss."""
    minutes, seconds = divmod(duration_ms // 1000, 60)
    return f"{minutes // 60:,}:{minutes % 60:02d}:{seconds:02d}"


def _introduction(release: Release, *, repo: str, tag: str, gated: bool) -> list[str]:
    sides = release.sides.values()
    clips = sum(len(side.clips) for side in sides)
    duration_ms = sum(side.duration_ms for side in sides)
    sizes = ", ".join(f"{width} × {height}" for width, height in sorted(release.sizes))
    side, folder = next(iter(release.sides)), next(iter(release.folders))
    return [
        f"Sign language: {clips:,} clips of {len(release.classes):,} signs by "
        f"{len(release.signers):,} signers, {_time(duration_ms)} (h:mm:ss) in all, cut at "
        f"annotated boundaries, resized to {sizes} pixels, without sound.",
        "## Loading",
        *(["Ask for access on this page, then log in: `hf auth login`."] if gated else []),
        "```python\n"
        "import kslds\n"
        f'for sample in kslds.load("hf://datasets/{repo}@{tag}", split="{side}", num_frames=16):\n'
        '    sample["video"]  # uint8 (T, C, H, W)\n'
        "```",
        "```python\n"
        "from datasets import load_dataset\n"
        f'load_dataset("{repo}", revision="{tag}", streaming=True)\n'
        "# the WebDataset shards\n"
        f'tars = "hf://datasets/{repo}@{tag}/{folder}/{side}-?????.tar"\n'
        f'load_dataset("webdataset", data_files={{"{side.replace("-", "_")}": tars}}, '
        "streaming=True)\n"
        "```",
        f"Name the release (`{tag}`): the files at the top of the repository change while a "
        "new release is uploaded. `kslds.json` lists every file of the release with its size "
        "and SHA-256.",
    ]


def _contents(dataset: Dataset, release: Release) -> list[str]:
    sides = release.sides
    rows = [
        (f"`{name}`", f"{len(s.signers):,}", f"{len(s.clips):,}", _time(s.duration_ms))
        for name, s in sides.items()
    ]
    apart = sum(len(side.signers) for side in sides.values()) == len(release.signers)
    signs = (
        {s.gloss_id: s for s in dataset.read("signs", schema.Sign)} if dataset.has("signs") else {}
    )
    classes = []
    for label, (gloss_id, clips) in enumerate(release.classes.items()):
        sign = signs.get(gloss_id)
        names = (sign.kk, sign.ru, sign.en) if sign is not None else (None, None, None)
        classes.append((label, f"`{gloss_id}`", *(_text(name or "") for name in names), clips))
    more = len(classes) - _MOST_CLASSES
    return [
        "## Splits",
        _table(["split", "signers", "clips", "h:mm:ss"], rows),
        "No signer is in two splits." if apart else "**Some signers are in several splits.**",
        "## Classes",
        _table(["label", "gloss_id", "kk", "ru", "en", "clips"], classes[:_MOST_CLASSES]),
        *([f"… and {more:,} more; `index.json` beside the shards lists all."] if more > 0 else []),
    ]


def _stage_order(item: tuple[str, Any]) -> tuple[int, str]:
    order = ("ingest", "trim", "resize", "split", "shard")
    stage = item[0].split("-")[0]
    return (order.index(stage) if stage in order else len(order), item[0])


def _making(dataset: Dataset, release: Release) -> list[str]:
    stages = sorted(dataset.provenance.get("stages", {}).items(), key=_stage_order)
    rows = [
        (_text(s), *(books.get(k, "") for k in ("in", "out", "dropped"))) for s, books in stages
    ]
    dropped = dataset.read("dropped", schema.Dropped) if dataset.has("dropped") else []
    codes = Counter(row.code for row in dropped)
    reasons = [
        (code, CODES[code].title if code in CODES else "", number)
        for code, number in sorted(codes.items())
    ]
    return [
        "## How it was made",
        f"With kslds, from {len(release.recordings):,} recordings. Every stage keeps books: what "
        "goes in comes out or is dropped with a code.",
        _table(["stage", "in", "out", "dropped"], rows),
        *([_table(["code", "why it was dropped", "rows"], reasons)] if reasons else []),
        "Boundaries are half-open intervals `[start_ms, end_ms)` in milliseconds: a frame belongs "
        "to a clip when `start_ms <= floor(1000 * t) < end_ms`, with `t` its presentation time "
        "in the recording, in seconds. `first_frame` and `last_frame`, both included, count "
        "the recording's presented frames from 0. `label` is the place of `gloss_id` in the "
        "table of classes.",
    ]


def _rights(*, repo: str, licence: Sequence[str]) -> list[str]:
    return [
        "## Consent and withdrawal",
        "Everybody who is seen has agreed to publication; a release with anybody else in it is "
        "refused when it is made. Signers go by pseudonyms. A signer may withdraw at any "
        "time, without giving a reason, by writing to the owners of this repository "
        f"(https://huggingface.co/{repo.split('/')[0]}). The next release is then made "
        "without them; whoever holds an older release is asked to delete their clips. Do not "
        "name a signer in public discussions.",
        "## Licence",
        f"{_terms(licence)} The licence does not waive the signers' rights to "
        "their own picture: do not identify them, and do not imitate them.",
    ]


def _terms(licence: Sequence[str]) -> str:
    if len(licence) == 1:
        return f"{_text(licence[0])}."
    return (
        f"Each clip is under the licence that its sample states: {', '.join(map(_text, licence))}. "
        f"Whoever uses all of them keeps to {_text(strictest(licence) or '')}."
    )


def _limits(release: Release) -> list[str]:
    counts = sorted(release.classes.values()) or [0]
    return [
        "## Limits",
        f"- {len(release.signers):,} signers are a small sample of a language community; results "
        "depend on who is on the test side. Report them with a spread over signers.\n"
        f"- Classes have between {counts[0]:,} and {counts[-1]:,} clips.\n"
        "- Boundaries follow the annotators' judgement of where a sign begins and ends.\n"
        "- Clips cut out of their context are not continuous signing; a recogniser trained on "
        "them is not an interpreter, and must not stand in for one.",
    ]


def _citation(name: str, *, repo: str, tag: str) -> list[str]:
    title = re.sub(r"[{}\\]", "", " ".join(name.split()))
    return [
        "## Citation",
        "```bibtex\n"
        f"@misc{{{re.sub(r'[^a-z0-9]+', '-', repo.lower())},\n"
        f"  title        = {{{title}}},\n"
        f"  howpublished = {{\\url{{https://huggingface.co/datasets/{repo}}}}},\n"
        f"  note         = {{Release {tag}}}\n"
        "}\n"
        "```",
    ]
