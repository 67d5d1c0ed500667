"""KSL-Emo: isolated signs of Kazakh Sign Language in four emotions, one file a take.

The recorder that made the collection wrote three layouts in turn; all end in
``<split>`` and the folders below, and all are read::

    <participant>/emotion_<emotion>/sign_<gloss>__<emotion>__<time>_r<take>.mp4
    <participant>/<gloss>/<emotion>/sign_<gloss>__<emotion>__<time>_r<take>.mp4
    <emotion>/<gloss>/sign_<gloss>__<emotion>__<participant>__<time>_r<take>.mp4

The names say everything but the duration. Where the recorder's ``metadata.jsonl`` is given
too, both have to agree. A take is the whole file. Takes are told apart by their time: the
number after ``_r`` is 01 on all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.jsonl import read_items
from kslds.corpora.table import read_lines
from kslds.corpora.times import parse_time
from kslds.errors import AnnotationError
from kslds.orthography import ascii_form

ABOUT = About(
    title="KSL-Emo",
    what="isolated signs of Kazakh Sign Language, each in four emotions (neutral, happy, sad, "
    "angry), recorded with webcams",
    size="20 signs, 4 emotions, 9 signers (7 men, 2 women), 7,247 clips, about 20,000 s; signer-"
    "independent 4,367 for training and 2,880 for testing, as the paper states them",
    licence="none stated; the recordings are not published",
    citation="the paper on KSL-Emo; its figures stand in recipes/ksl-emo.toml",
    access="The recordings are with their authors. The layouts of folders and file names were "
    "read from the public recorder; that the published collection has them is a guess. "
    "metadata.jsonl is optional.",
    defects=(
        (
            "the header of a recording says 30 frames a second, the camera was slower: the "
            "metadata state durations 3 to 22 % longer than the file's",
            "the timestamps of the file are kept; every such recording is named (K131)",
        ),
        (
            "all takes have the number 01",
            "takes are told apart by their time; the same take twice is dropped (K119)",
        ),
        (
            "file names mix Cyrillic and Latin letters (мысық became myсyq with a Cyrillic с)",
            "the lexicon finds such labels by look-alike letters (K302, K303)",
        ),
        (
            "of the 20 signs, 10 are named in the paper",
            "the lexicon nspcrsie holds those; the rest are yours to add",
        ),
        (
            "the split into 4,367 and 2,880 clips is published without the names of the signers",
            "recipes/ksl-emo.toml splits by signers and reports how the counts differ (K406)",
        ),
    ),
)

_NAME = re.compile(r"sign_(?P<what>.+)_r[0-9]+")
_EXPECTED = "sign_<gloss>__<emotion>__<time>_r<take>"
_KEYS = ("video_id", "participant_id", "file_path", "gloss", "emotion")
_EXPECTED_ROWS = f"one JSON object a line, or an array of them, with {', '.join(_KEYS)}"


@dataclass(frozen=True, kw_only=True)
class _Take:
    """What a file's name and folders say, or a row of the metadata."""

    gloss: str | None
    emotion: str | None
    participant: str | None
    split: str | None
    wrong: str | None = None
    """How its parts contradict each other."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of the metadata."""

    where: str
    key: str
    file: str
    take: _Take
    session: str | None
    duration_ms: int | None


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per take: every media file by name, then rows without a file.

    Rows of metadata that cannot be read, are there twice or contradict the file's name carry
    a `problem`.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not the recorder's metadata, or no media file has a name
            that the recorder gives.
        RecipeError: The recipe has options; this adapter knows none.
    """
    choose(source, adapter="ksl-emo", known={})
    takes = {name: _from_name(name) for name in source.media}
    if takes and not source.files and not any(takes.values()):
        raise AnnotationError(
            f"none of the {len(takes)} media files is named like {_EXPECTED}, "
            f"the first is {source.media[0]!r:.120}.",
            hint="Name the folder of KSL-Emo recordings, or another adapter.",
        )
    rows: dict[str, _Row] = {}
    absent: list[_Row] = []
    by_base: dict[str, list[str]] = defaultdict(list)
    for name in source.media:
        by_base[PurePosixPath(name).name].append(name)
    keys: dict[str, str] = {}
    for path in source.files:
        for row in _metadata(path):
            if isinstance(row, Annotation):
                yield row
                continue
            if row.key in keys:
                reason = f"video_id {row.key!r:.80} is that of {keys[row.key]} too"
                yield _problem(row.where, row.file, "K119", reason)
                continue
            keys[row.key] = row.where
            meant = _media(row.file, by_base)
            if meant is None:
                absent.append(row)
            elif meant in rows:
                reason = f"{row.file!r:.120} is the file of {rows[meant].where} too"
                yield _problem(row.where, row.file, "K119", reason)
            else:
                rows[meant] = row
    seen: dict[tuple[str | None, str], str] = {}
    for name, take in takes.items():
        yield _annotation(name, take, rows.get(name), seen)
    for row in absent:
        named = _from_name(row.file)
        yield _merged(row.file, named or row.take, row)


def _annotation(
    name: str, take: _Take | None, row: _Row | None, seen: dict[tuple[str | None, str], str]
) -> Annotation:
    take = take or (row.take if row else None)
    if take is None:
        reason = f"{PurePosixPath(name).name!r:.120} does not name a sign; expected {_EXPECTED}"
        return _problem(name, name, "K118", reason)
    found = _merged(name, take, row)
    same = (found.signer, PurePosixPath(name).stem)
    if seen.setdefault(same, name) != name:
        return _problem(name, name, "K119", f"the same take as {seen[same]}")
    return found


def _merged(recording: str, take: _Take, row: _Row | None) -> Annotation:
    """What name and metadata say together; a problem where they contradict each other."""
    where = row.where if row else recording
    wrong = take.wrong or (_differences(take, row.take) if row else None)
    if wrong is not None:
        return _problem(where, recording, "K132", wrong)
    stated = row.take if row else take
    return Annotation(
        source=where,
        recording=recording,
        start="0",
        end=END,
        unit="ms",
        label=stated.gloss or take.gloss,
        emotion=stated.emotion or take.emotion,
        signer=stated.participant or take.participant,
        session=row.session if row else None,
        split=stated.split or take.split,
        duration_ms=row.duration_ms if row else None,
    )


def _problem(where: str, recording: str, code: str, reason: str) -> Annotation:
    return Annotation(
        source=where, recording=recording, start=None, end=None, unit="ms", problem=(code, reason)
    )


# File names


def _from_name(name: str) -> _Take | None:
    """What the recorder says in a name; None where it is not one of its names."""
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    match = _NAME.fullmatch(path.stem)
    parts = match["what"].split("__") if match else []
    if len(parts) not in (3, 4):
        return None
    gloss, emotion, *further = parts
    above = [p for p in reversed(path.parts[:-1]) if p != "videos"] + [""] * 4
    if further[1:]:
        participant, (in_folder, said, split) = further[0], above[:3]
    elif above[0].startswith("emotion_"):
        in_folder, (said, participant, split) = "", above[:3]
        said = said.removeprefix("emotion_")
    else:
        said, in_folder, participant, split = above[:4]
    wrong = None
    for what, folder, named in (("emotion", said, emotion), ("sign", in_folder, gloss)):
        if folder and not _same(folder, named):
            wrong = f"the folder says the {what} {folder!r:.60}, the name {named!r:.60}"
    return _Take(
        gloss=gloss,
        emotion=emotion,
        participant=participant or None,
        split=split or None,
        wrong=wrong,
    )


def _differences(take: _Take, row: _Take) -> str | None:
    """Where a name and its row of metadata contradict each other."""
    pairs = (
        ("sign", take.gloss, row.gloss),
        ("emotion", take.emotion, row.emotion),
        ("participant", take.participant, row.participant),
        ("split", take.split, row.split),
    )
    for what, named, stated in pairs:
        if named and stated and not _same(named, stated):
            return f"the name says the {what} {named!r:.60}, the metadata say {stated!r:.60}"
    return None


def _same(one: str | None, other: str | None) -> bool:
    """The recorder spells labels in ASCII for file names, incompletely: мысық, mysyq, myсyq."""
    return one == other or ascii_form(one or "") == ascii_form(other or "") != ""


def _media(file: str, by_base: Mapping[str, Sequence[str]]) -> str | None:
    """The media file that a path of the metadata means: the one with the longest common end."""
    wanted = PurePosixPath(file).parts[::-1]
    names = by_base.get(PurePosixPath(file).name, ())
    common = [_common(wanted, PurePosixPath(name).parts[::-1]) for name in names]
    best = [name for name, length in zip(names, common, strict=True) if length == max(common)]
    return best[0] if len(best) == 1 else None


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of their first parts are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


# Metadata


def _metadata(path: Path) -> Iterator[_Row | Annotation]:
    """The rows of the recorder's metadata; those that cannot be used with their problem."""
    line, first = next(
        ((n, text.strip()) for n, text in enumerate(read_lines(path), start=1) if text.strip()),
        (0, ""),
    )
    if not line:
        raise AnnotationError(
            f"{path} is empty; expected {_EXPECTED_ROWS}.",
            hint="Export it again, or take it out of the recipe: it is optional.",
        )
    known = False
    if first[0] in "{[":
        items = list(read_items(path))
        found = [name for _, item in items if isinstance(item, dict) for name in item]
        known = {"video_id", "file_path"} <= set(found)
    else:
        items, found = [], [cell.strip(' "') for cell in re.split("[,;\t]", first[:1000])]
    if not known:
        raise wrong_file(
            path, found=found, expected=_EXPECTED_ROWS, adapter="ksl-emo", line=line
        )  # fmt: skip
    for where, item in items:
        yield _problem(where, "", "K124", item) if isinstance(item, str) else _row(item, where)


def _row(row: Mapping[str, Any], where: str) -> _Row | Annotation:
    def text(key: str) -> str | None:
        value = row.get(key)
        return (
            unicodedata.normalize("NFC", value).strip() or None if isinstance(value, str) else None
        )

    file, key = text("file_path"), text("video_id")
    missing = [name for name in _KEYS if text(name) is None]
    if file is None or key is None or missing:
        return _problem(where, file or "", "K124", f"{missing[0]!r} is missing or not text")
    duration = text("duration_sec")
    duration_ms = None
    if duration is not None:
        try:
            duration_ms = parse_time(duration, unit="s").ms
        except ValueError as error:
            return _problem(where, file, "K111", f"'duration_sec': {error}")
    return _Row(
        where=where,
        key=key,
        file=file.replace("\\", "/"),
        take=_Take(
            gloss=text("gloss"),
            emotion=text("emotion"),
            participant=text("participant_id"),
            split=text("split"),
        ),
        session=text("session_id"),
        duration_ms=duration_ms,
    )
