"""From a folder of recordings and annotation files to tables.

Nothing is decoded here (but see `kslds.probe`). A recording is its content hash, so files
that were read before are only hashed again, and the same bytes under two names are one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

from kslds import pose
from kslds.bounds import Bounds, Problem, resolve, stated_duration
from kslds.codes import CODES
from kslds.corpora import (
    END,
    FOLDER_SUFFIXES,
    FROM_NAMES,
    UNITS,
    Annotation,
    Source,
    read_annotations,
)
from kslds.corpora import signers as signers_file
from kslds.engine import Progress, run
from kslds.errors import (
    AnnotationError,
    CorruptData,
    IncompleteDataset,
    MediaError,
    MissingFile,
    RecipeError,
    UsageError,
)
from kslds.folders import Finder, Refused, find
from kslds.manifest import (
    Dataset,
    key_of,
    readable_json,
    segment_key,
    sha256_file,
    write_bytes,
)
from kslds.orthography import slug
from kslds.probe import SUFFIXES, Probe, probe
from kslds.schema import Dropped, Issue, Recording, Segment, Signer, Timing
from kslds.transcript import Texts, sorted_out


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """The `[ingest]` part of a recipe, with paths resolved.

    Raises:
        RecipeError: A unit is unknown, or a path is empty.
    """

    media: tuple[str, ...]
    """Folders, files or glob patterns."""
    adapter: str = "table"
    annotations: tuple[str, ...] = ()
    """Files, folders or glob patterns."""
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str = "ms"
    tiers: tuple[str, ...] = ()
    signers: str | None = None
    """A CSV with the columns of `Signer`."""
    poses: str | None = None
    """A folder of pose files, named as the recordings are."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What only this adapter knows."""
    rounding: str = "down"
    """How times in ms or s were made from frames: ``down``, or ``any``, which takes a boundary
    less than a ms after the start of a frame for that frame."""
    missing: str = "drop"
    """Rows whose recording is not there: ``drop`` them, each with K103, or ``error``."""

    def __post_init__(self) -> None:
        named = {"media": self.media, "annotations": self.annotations, "signers": (self.signers,)}
        for key, paths in named.items():
            if any(path is not None and not path.strip() for path in paths) or not self.media:
                raise RecipeError(f"[ingest] {key} is empty; expected the path of what to read.")
            if any(re.search("[\ud800-\udfff]", path or "") for path in paths):
                raise RecipeError(
                    f"[ingest] {key}: a path is not UTF-8.", hint="Rename the folder or the file."
                )
        if self.unit not in UNITS:
            raise RecipeError(f"[ingest] unit = {self.unit!r} is not one of {', '.join(UNITS)}.")
        if self.rounding not in ("down", "any"):
            raise RecipeError(f"[ingest] rounding = {self.rounding!r}: expected 'down' or 'any'.")
        if self.missing not in ("drop", "error"):
            raise RecipeError(f"[ingest] missing = {self.missing!r}: expected 'drop' or 'error'.")


@dataclass(frozen=True, kw_only=True)
class Media:
    """The files of the media folders."""

    files: Mapping[str, Path]
    """Name relative to its media folder → path, sorted by name."""
    refused: tuple[Refused, ...]
    """What is there but is not read, such as links that leave the folder."""


def find_media(patterns: Sequence[str]) -> Media:
    """Every recording in folders, files and glob patterns, by name.

    In a folder, files count whose ending is that of a video; hidden files do not.

    Raises:
        MissingFile: A folder or file does not exist, or nothing at all was found.
        UsageError: Two folders hold different files of the same relative name.
    """
    files: dict[str, Path] = {}
    refused: dict[Refused, None] = {}
    for pattern in patterns:
        found = find(pattern, suffixes=SUFFIXES)
        refused |= dict.fromkeys(found.refused)
        for path in found.files:
            name = unicodedata.normalize("NFC", path.relative_to(found.root).as_posix())
            if files.setdefault(name, path) != path:
                raise UsageError(
                    f"{name} exists in two media folders: {files[name]} and {path}.",
                    hint="Rename one of them, or name their common parent as the media folder.",
                )
    if not files and not refused:
        raise MissingFile(
            f"no recording was found in {', '.join(patterns)}.",
            hint=f"Looked for files that end in {', '.join(sorted(SUFFIXES)[:8])} ….",
        )
    return Media(files=dict(sorted(files.items())), refused=tuple(refused))


def _annotation_files(
    patterns: Sequence[str], *, adapter: str
) -> tuple[dict[Path, str], list[Annotation]]:
    """The files named and their names; of a folder, those that the adapter reads by their ending.

    What must not be read is an annotation with its problem.
    """
    files: dict[Path, str] = {}
    refused: dict[Refused, None] = {}
    for pattern in patterns:
        found = find(
            pattern, suffixes=FOLDER_SUFFIXES.get(adapter) if Path(pattern).is_dir() else None
        )
        refused |= dict.fromkeys(found.refused)
        for path in found.files:
            files.setdefault(path, path.relative_to(found.root).as_posix())
    if patterns and not files and not refused:
        raise MissingFile(f"no annotation file was found in {', '.join(patterns)}.")
    return files, [
        _unread(one.name, code="K123" if one.code == "K107" else one.code, reason=one.reason)
        for one in refused
    ]


def _unread(name: str, *, code: str, reason: str) -> Annotation:
    """Stands for an annotation file in the books."""
    return Annotation(
        source=name, recording="", start=None, end=None, unit="ms", problem=(code, reason)
    )


# --------------------------------------------------------------------------- recordings


@dataclass
class _Recordings:
    """What became of the media files."""

    rows: dict[str, Recording] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    by_name: dict[str, str] = field(default_factory=dict)
    """Every file name, duplicates included → recording_id."""
    broken: dict[str, str] = field(default_factory=dict)
    """Name of an unusable file → code."""
    dropped: list[Dropped] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    capture: dict[str, Mapping[str, str]] = field(default_factory=dict)
    reused: int = 0

    def drop(self, name: str, code: str, reason: str) -> None:
        self.dropped.append(
            Dropped(
                stage="ingest-recordings", table="recordings", key=name, code=code, reason=reason
            )
        )
        self.broken[name] = code


def _issue(code: str, *, table: str, key: str, message: str) -> Issue:
    known = CODES[code]
    return Issue(
        severity=known.severity, code=code, table=table, key=key, message=message, hint=known.action
    )


def _recording(name: str, digest: str, size: int, found: Probe) -> tuple[Recording, Timing]:
    recording_id = f"rec_{digest[:12]}"
    width, height = found.display_size
    row = Recording(
        recording_id=recording_id,
        source_file=name,
        content_sha256=digest,
        size_bytes=size,
        container=found.container,
        codec=found.codec,
        pix_fmt=found.pix_fmt,
        stream_index=found.stream_index,
        width=found.width,
        height=found.height,
        rotation=found.rotation,
        sar_num=found.sar.numerator,
        sar_den=found.sar.denominator,
        display_width=width,
        display_height=height,
        num_frames=len(found.pts),
        time_base_num=found.time_base.numerator,
        time_base_den=found.time_base.denominator,
        origin_pts=found.origin_pts,
        end_ms=found.end_ms,
        avg_fps_num=found.average_rate.numerator,
        avg_fps_den=found.average_rate.denominator,
        is_vfr=found.is_vfr,
        has_audio=found.has_audio,
        damage=found.damage,
    )
    return row, Timing(recording_id=recording_id, pts=found.pts, keyframes=found.keyframes)


def _known(
    dataset: Dataset,
) -> tuple[dict[str, Recording], dict[str, Timing], dict[str, Mapping[str, str]]]:
    """What an earlier run read: recordings by content hash, timings, and capture facts.

    Where any of it is missing or damaged, nothing is known and everything is read again.
    """
    try:
        rows = {r.content_sha256: r for r in dataset.read("recordings", Recording)}
        timings = {t.recording_id: t for t in dataset.read("timings", Timing)}
        facts = json.loads((dataset.root / "reports" / "capture.json").read_bytes())
        capture: dict[str, Mapping[str, str]] = {k: dict(v) for k, v in facts.items()}
    except (IncompleteDataset, CorruptData, OSError, ValueError, AttributeError, TypeError):
        return {}, {}, {}
    return rows, timings, capture


def _read_recordings(
    media: Media,
    *,
    dataset: Dataset,
    licence: str | None,
    workers: int | None,
    progress: Progress | None,
) -> _Recordings:
    rows, timings, seen = _known(dataset)

    def read(item: tuple[str, Path]) -> tuple[str, str, int, Probe | Recording | MediaError]:
        name, path = item
        try:
            digest, size = dataset.sha256_of(path), path.stat().st_size
        except OSError as error:
            return name, "", 0, MediaError(f"{name} cannot be read: {error.strerror}.", code="K101")
        known = rows.get(digest)
        if known is not None and known.recording_id in timings:
            return name, digest, size, known
        try:
            return name, digest, size, probe(path)
        except MediaError as error:
            return name, digest, size, error

    result = _Recordings()
    for refused in media.refused:
        result.drop(refused.name, refused.code, refused.reason)
    names: dict[str, str] = {}
    for name, digest, size, found in run(
        read, list(media.files.items()), stage="ingest", workers=workers, progress=progress
    ):
        if isinstance(found, MediaError):
            result.drop(name, found.code, str(found))
            continue
        if digest in names:
            reason = f"the same bytes as {names[digest]}"
            result.drop(name, "K105", reason)
            del result.broken[name]
            result.by_name[name] = result.by_name[names[digest]]
            result.issues.append(
                _issue("K105", table="recordings", key=name, message=f"{name} holds {reason}")
            )
            continue
        names[digest] = name
        if isinstance(found, Recording):
            result.reused += 1
            row = dataclasses.replace(found, source_file=name)
            timing, capture = timings[row.recording_id], seen.get(row.recording_id, {})
        else:
            row, timing = _recording(name, digest, size, found)
            capture = found.capture
        result.rows[row.recording_id] = dataclasses.replace(row, licence=licence)
        result.timings[row.recording_id] = timing
        result.by_name[name] = row.recording_id
        if capture:
            result.capture[row.recording_id] = capture
    return result


# --------------------------------------------------------------------------- segments


def _clean(text: str | None) -> str | None:
    text = unicodedata.normalize("NFC", text).strip() if text else None
    return text or None


def _emotion(text: str) -> str:
    """A key for an emotion; one with signs that a key cannot hold (``+1``) keeps itself apart."""
    key = slug(text)
    if re.fullmatch(r"\w+(?:[ _/-]+\w+)*", text):
        return key
    return f"{key}_{hashlib.sha256(text.encode()).hexdigest()[:4]}"


def _segment(row: Annotation, bounds: Bounds, recording_id: str) -> Segment:
    label, sentence = _clean(row.label), _clean(row.sentence)
    if label is None and sentence is None:
        raise Problem("K118", "neither a label nor a sentence")
    signer, emotion = _clean(row.signer), _clean(row.emotion)
    annotator = _clean(row.annotator)
    values = {
        "recording_id": recording_id,
        "start_ms": bounds.start_ms,
        "end_ms": bounds.end_ms,
        "label": label,
        "emotion": _emotion(emotion) if emotion else None,
        "sentence": sentence,
        "translation": _clean(row.translation),
        "translation_kk": _clean(row.translation_kk),
        "tier": _clean(row.tier),
        "annotator": key_of(annotator, prefix="annotator") if annotator else None,
        "signer_id": key_of(signer, prefix="signer") if signer else None,
    }
    return Segment(
        segment_id=segment_key(values),
        published_split=_clean(row.split),
        source=row.source,
        **values,  # type: ignore[arg-type]
    )


@dataclass
class _Segments:
    rows: dict[str, Segment] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    sessions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """recording_id → sessions that its rows name."""
    written: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """signer_id → the ways in which rows write the signer."""
    withdrawn: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """recording_id → signers of its rows who have withdrawn consent."""
    num_read: int = 0


@dataclass(frozen=True, kw_only=True)
class _Placing:
    """Puts rows on recordings."""

    recordings: _Recordings
    finder: Finder
    rounding: str

    def place(self, row: Annotation) -> tuple[Recording, Bounds]:
        """The recording of a row, and its boundaries there.

        Raises:
            Problem: It has none.
        """
        if row.problem is not None:
            raise Problem(*row.problem)
        name, code, reason = self.finder.find(row.recording)
        if name is None:
            raise Problem(code, reason)
        if name not in self.recordings.by_name:
            raise Problem(self.recordings.broken[name], f"its recording {name} cannot be used")
        recording = self.recordings.rows[self.recordings.by_name[name]]
        timing = self.recordings.timings[recording.recording_id]
        return recording, resolve(row, recording=recording, timing=timing, rounding=self.rounding)

    def hear(self, row: Annotation) -> tuple[Recording, Bounds]:
        """The same for what is spoken: if it outlasts the recording, until the recording's end."""
        try:
            return self.place(row)
        except Problem as problem:
            if problem.code != "K114":
                raise
            try:
                return self.place(dataclasses.replace(row, end=END))
            except Problem:
                raise problem from None


def _dropped(stage: str, source: str, problem: Problem) -> Dropped:
    reason = problem.reason if problem.reason.startswith(source) else f"{source}: {problem.reason}"
    return Dropped(stage=stage, table="segments", key=source, code=problem.code, reason=reason)


def _read_segments(
    rows: deque[Annotation], *, placing: _Placing, texts: Texts, withdrawn: Set[str]
) -> _Segments:
    """Segments of the rows, which are let go of one by one: there may be millions."""
    result, timed = _Segments(num_read=len(rows)), set[str]()
    while rows:
        row = rows.popleft()
        try:
            recording, bounds = placing.place(row)
            row = texts.told(row, recording, bounds)
            segment = _segment(row, bounds, recording.recording_id)
            if segment.signer_id:
                result.written[segment.signer_id].setdefault(_clean(row.signer) or "", row.source)
            if segment.signer_id is not None and segment.signer_id in withdrawn:
                result.withdrawn[segment.recording_id].add(segment.signer_id)
                raise Problem("K324", f"signer {segment.signer_id} has withdrawn consent")
            if segment.segment_id in result.rows:
                twin = result.rows[segment.segment_id].source
                raise Problem("K119", f"the same segment as {twin}")
        except Problem as problem:
            result.dropped.append(_dropped("ingest-segments", row.source, problem))
            continue
        result.rows[segment.segment_id] = segment
        session = _clean(row.session)
        if session:
            result.sessions[segment.recording_id].add(key_of(session, prefix="session"))
        known = segment.recording_id in timed  # one row tells it, however many there are
        durations = () if known else tuple(stated_duration(row, recording))
        timed |= {segment.recording_id} if durations else set()
        result.issues += [
            _issue(code, table="segments", key=row.source, message=f"{row.source}: {message}")
            for code, message in (*row.notes, *durations, *bounds.notes)
        ]
    return result


# --------------------------------------------------------------------------- the stage


def ingest(
    dataset: Dataset,
    *,
    options: IngestOptions,
    licence: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Read recordings and annotations into tables.

    Writes `recordings`, `timings`, `segments`, `signers`, and its findings into `issues`.

    Args:
        dataset: Where the tables go. Recordings it knows already (by content) are not read again.
        options: What to read.
        licence: Licence of the recordings.
        workers: Files read at a time.
        progress: Told after each file.

    Raises:
        MissingFile: A named file or folder does not exist.
        AnnotationError: An annotation file is not what the options say.
    """
    media = find_media(options.media)
    files, unread = _annotation_files(options.annotations, adapter=options.adapter)
    signers = signers_file.read(options.signers) if options.signers else {}
    source = Source(
        files=tuple(files),
        columns=options.columns,
        unit=options.unit,
        tiers=options.tiers,
        options=options.options,
        media=tuple(media.files),
    )
    # Before the recordings are read, which may take hours: a file that is wrong is told at once.
    yielded = read_annotations(options.adapter, source)
    rows, spoken = sorted_out(
        chain(unread, yielded if files or options.adapter in FROM_NAMES else ())
    )
    found = _read_recordings(
        media, dataset=dataset, licence=licence, workers=workers, progress=progress
    )
    withdrawn = {s.signer_id for s in signers.values() if s.consent_withdrawn}
    names = {**found.by_name, **{name: name for name in found.broken}}
    placing = _Placing(recordings=found, finder=Finder(names), rounding=options.rounding)
    texts = Texts()
    texts.read(spoken, hear=placing.hear)
    texts.expect(rows, place=placing.place)
    segments = _read_segments(rows, placing=placing, texts=texts, withdrawn=withdrawn)
    no_place = [
        _dropped("ingest-texts", source, problem) for source, problem in texts.without_segment()
    ]
    if files and not segments.num_read and not texts.num_read:
        raise _no_rows(files)
    if options.missing == "error":
        _check_present([*segments.dropped, *no_place])

    listed = sorted(signers)
    for signer_id in sorted(_name_people(found, segments)):
        signers.setdefault(signer_id, Signer(signer_id=signer_id))
    points = _attach_poses(found, options.poses)
    used = Counter(segment.recording_id for segment in segments.rows.values())
    issues = [*found.issues, *segments.issues, *_recording_issues(found, used)]
    issues += _signer_issues(segments.written, file=options.signers, listed=listed)
    gone = signers_file.seen_before(dataset.provenance.get("withdrawn", {}), signers=signers)
    issues += _withdrawn_from(found, segments, gone=gone)
    dataset.write("recordings", found.rows.values())
    dataset.write("timings", found.timings.values())
    dataset.write("segments", segments.rows.values())
    dataset.write("signers", signers.values())
    dataset.write("issues", issues)
    dataset.open_books()
    write_bytes(dataset.root / "reports" / "capture.json", readable_json(found.capture))
    _close_books(dataset, media, found, segments, texts, no_place)
    inputs = _hashes(found, files)
    noted = {digest: sorted(keys) for digest, keys in sorted(gone.items()) if keys}
    dataset.update_provenance(inputs=inputs, pose_points=points, withdrawn=noted)


def _close_books(
    dataset: Dataset,
    media: Media,
    found: _Recordings,
    segments: _Segments,
    texts: Texts,
    no_place: list[Dropped],
) -> None:
    dataset.close_books(
        "ingest-recordings",
        rows_in=len(media.files) + len(media.refused),
        rows_out=len(found.rows),
        dropped=found.dropped,
        facts={"source_frames": sum(r.num_frames for r in found.rows.values())},
    )
    dataset.close_books(
        "ingest-segments",
        rows_in=segments.num_read,
        rows_out=len(segments.rows),
        dropped=segments.dropped,
    )
    if texts.num_read:
        dataset.close_books(
            "ingest-texts",
            rows_in=texts.num_read,
            rows_out=texts.num_read - len(no_place),
            dropped=no_place,
        )


def _withdrawn_from(
    found: _Recordings, segments: _Segments, *, gone: dict[str, set[str]]
) -> Iterator[Issue]:
    """Add to `gone`, content hash → who withdrew from the recording, those of this time; tells of
    recordings in which others are named now."""
    used = {segment.recording_id for segment in segments.rows.values()}
    for row in found.rows.values():
        now = segments.withdrawn.get(row.recording_id, set())
        known = gone.setdefault(row.content_sha256, set())
        if row.recording_id in used and known - now:
            message = f"{row.source_file}: {', '.join(sorted(known - now))} has withdrawn from it"
            yield _issue("K139", table="recordings", key=row.source_file, message=message)
        known |= now


def _no_rows(files: Mapping[Path, str]) -> AnnotationError:
    shown = ", ".join(list(files.values())[:3])
    return AnnotationError(
        f"{shown} {'has' if len(files) == 1 else 'have'} no row of annotations.",
        hint="Export it again: there is a header at most.",
    )


def _name_people(found: _Recordings, segments: _Segments) -> set[str]:
    """Fill in whom and which session each recording shows, where its segments name one; returns
    all signers that they name."""
    signers_of: dict[str, set[str]] = defaultdict(set)
    for segment in segments.rows.values():
        if segment.signer_id:
            signers_of[segment.recording_id].add(segment.signer_id)
    for row in found.rows.values():
        named = signers_of.get(row.recording_id, set())
        sessions = segments.sessions.get(row.recording_id, set())
        found.rows[row.recording_id] = dataclasses.replace(
            row,
            signer_id=next(iter(named)) if len(named) == 1 else None,
            session_id=next(iter(sessions)) if len(sessions) == 1 else None,
            pose_file=None,
            pose_sha256=None,
        )
    return set().union(*signers_of.values())


def _signer_issues(
    written: Mapping[str, Mapping[str, str]], *, file: str | None, listed: Sequence[str]
) -> Iterator[Issue]:
    """What may be wrong with how signers are written; `written` is key → way → where first.

    Raises:
        AnnotationError: A withdrawn signer only looks like one of the annotations.
    """
    for key, ways in sorted(written.items()):
        if len(ways) > 1:
            places = ", ".join(list(ways.values())[:3])
            message = (
                f"{key} is written in {len(ways)} ways that differ by case or separators, as at "
                f"{places}"
            )
            yield _issue("K134", table="signers", key=key, message=message)
    for key in sorted(set(written) - set(listed)) if file else ():
        near = get_close_matches(key, listed, n=1)
        first = next(iter(written[key].values()))
        message = f"{key} is not in {Path(str(file)).name} (first at {first})" + (
            f"; nearest: {near[0]}" if near else ""
        )
        yield _issue("K136", table="signers", key=key, message=message)
    names = sorted(set().union(*written.values()))
    for key, where, alike in signers_file.strangers(file, written=names) if file else ():
        if alike is not None:
            raise AnnotationError(
                f"{where}: the withdrawn signer looks like {alike!r}, but is written otherwise.",
                hint="Write the name as the annotations do.",
            )
        message = f"{where}: no annotation names the withdrawn signer {key}"
        yield _issue("K135", table="signers", key=key, message=message)


def _hashes(found: _Recordings, files: Mapping[Path, str]) -> dict[str, str]:
    inputs = {f"media/{name}": found.rows[i].content_sha256 for name, i in found.by_name.items()}
    for path, name in files.items():
        try:
            inputs[f"annotations/{name}"] = sha256_file(path)
        except OSError:
            continue  # its row in `dropped` says that it cannot be read
    return inputs


def _check_present(dropped: Iterable[Dropped]) -> None:
    absent = [row for row in dropped if row.code == "K103"]
    if absent:
        raise MissingFile(
            f"{len(absent)} row(s) name recordings that are not there; the first: "
            f"{absent[0].reason}.",
            hint='Fetch them, or set [ingest] missing = "drop".',
        )


def _attach_poses(found: _Recordings, folder: str | None) -> list[str]:
    """Fill in which recordings have poses; returns the names of the points."""
    if folder is None:
        return []
    kept = {key: row.source_file for key, row in found.rows.items()}
    poses = pose.attach(
        Path(folder),
        recordings=found.rows.values(),
        timings=found.timings,
        copies={n: kept[key] for n, key in found.by_name.items() if n != kept[key]},
    )
    found.rows |= {row.recording_id: row for row in poses.recordings}
    found.issues += [
        _issue(code, table="recordings", key=name, message=message)
        for code, name, message in poses.problems
    ]
    return list(poses.points)


def _recording_issues(found: _Recordings, used: Mapping[str, int]) -> list[Issue]:
    issues = []
    for row in found.rows.values():
        name = row.source_file
        if row.damage:
            issues.append(
                _issue("K108", table="recordings", key=name, message=f"{name}: {row.damage}")
            )
        if not used.get(row.recording_id):
            issues.append(
                _issue("K109", table="recordings", key=name, message=f"{name}: no segment names it")
            )
        kinds = ", ".join(sorted(found.capture.get(row.recording_id, {})))
        if kinds:
            message = f"{name}: the container states {kinds}; nothing of it is carried on"
            issues.append(_issue("K110", table="recordings", key=name, message=message))
    return issues
