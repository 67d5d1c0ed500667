"""Slovo: Russian Sign Language, 1,000 words and letters, and clips in which nothing is signed.

Two annotation files exist and neither says everything: ``annotations.csv`` (which in truth is
separated by tabs) has the published split, ``SLOVO_DATAFRAME.tsv`` has the frames of the sign
in the untrimmed recording. They are joined by ``attachment_id``.

The frames are those of the 360p recordings. Where the trimmed clip has another number of frames
than ``end - begin``, the recording runs at another rate than its 360p version: in the clips
without a sign, cut from the same recordings, the lengths differ by the same factor.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.table import read_cells
from kslds.corpora.times import parse_time
from kslds.errors import RecipeError

ABOUT = About(
    title="Slovo and SlovoExt",
    what="Russian Sign Language: single words, phrases and the letters of the alphabet",
    size="20,400 clips: 1,000 classes of 20 and 400 clips without a sign, by 194 signers; "
    "15,300 train and 5,100 test. SlovoExt, of which only the paper is known, has 51,000 videos "
    "of the same 1,000 words.",
    licence="a variant of CC BY-SA 4.0; its text is in the folder license/ of the repository",
    citation="A. Kapitanov and others, Slovo: Russian Sign Language Dataset, "
    "https://github.com/hukenovs/slovo",
    access="Public. Archives with trimmed clips, with the original recordings and with the "
    "recordings at 360p are linked in its README; the files are {train|test}/{attachment_id}.mp4. "
    "annotations.csv is what comes with it; SLOVO_DATAFRAME.tsv, with begin and end, is needed "
    "for untrimmed recordings. SlovoExt is not published as far as is known; a table in either "
    "layout is read.",
    defects=(
        (
            "The published split is not by signer although the README says so: 92 of the 174 test "
            "signers also sign in train, and 3,448 of 5,100 test clips (67.6 %) are by them.",
            "The side is kept as published_split; split by signer for results on unseen signers.",
        ),
        (
            "annotations.csv is separated by tabs and lacks the begin and end that the README "
            "names; SLOVO_DATAFRAME.tsv has them but no split.",
            "Both are read and joined by attachment_id.",
        ),
        (
            "In 368 of 20,000 rows end - begin is not the length of the trimmed clip, which is "
            "longer by 1.73 on average: begin and end count frames of the 360p version, and those "
            "recordings run at a higher rate (so do 23 of the 400 clips without a sign).",
            'Nothing for trimmed clips and for videos = "360p". With videos = "untrimmed" these '
            'rows are dropped with K127; mismatch = "keep" cuts them as they stand.',
        ),
        (
            "60 rows have another label in the second file: Привет and Привет!, Добро пожаловать "
            "and Добро пожаловать!, кто and кто?.",
            "annotations.csv decides, or the option labels; each row is reported as K127.",
        ),
        (
            "Ids of clips without a sign are not unique identifiers but no + the id of the clip "
            "from whose recording they were cut: the frames before the sign.",
            'Read as such; with untrimmed recordings they are frames [0, begin). no_event = "drop" '
            "leaves them out.",
        ),
        (
            "Six pairs of labels differ only by letter case or ё: Е and Ё, С and с, Я and я, "
            "веселый and весёлый, желтый and жёлтый, все and всё. Е and Ё are letters of the "
            "alphabet; С and с, Я and я are a letter and a word.",
            "They stay different classes.",
        ),
        (
            "левый, правый, правша and сердце change their meaning when mirrored.",
            "The lexicon slovo-mirror says so of these four.",
        ),
        (
            "One signer made 18 % of the clips (3,692 of 20,400).",
            "Nothing; weigh it when you choose fractions for a split.",
        ),
        (
            "Original recordings carry the place where they were made (GPS) in their container.",
            "Reported as K110 and never carried on.",
        ),
    ),
)

NON_MIRRORABLE = ("левый", "правый", "правша", "сердце")
"""Labels whose picture must not be mirrored, as the collection's training code lists them."""

_OPTIONS = {
    "videos": ("trimmed", "untrimmed", "360p"),
    "labels": ("annotations", "dataframe"),
    "no_event": ("keep", "drop"),
    "mismatch": ("drop", "keep"),
}
_COLUMNS = (
    "attachment_id",
    "text",
    "user_id",
    "height",
    "width",
    "length",
    "train",
    "begin",
    "end",
)
_NEEDED = frozenset({"attachment_id", "text", "user_id"})
_NO_EVENT = re.compile(r"no([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_SIDES = {"true": "train", "false": "test"}
"""Of the column ``train``; a spreadsheet that saved the file has written ``TRUE``."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    where: str
    cells: Mapping[str, str]

    def frame(self, column: str) -> int | None:
        """A count of frames, which may be written as ``76.0``; None where it is not one."""
        try:
            return parse_time(self.cells.get(column, ""), unit="frame").frame
        except ValueError:
            return None


_Rows = dict[str, _Row]
"""By `attachment_id`."""


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per clip, in the order of annotations.csv; unreadable rows come last.

    Options: ``videos`` is ``trimmed`` (a clip is a whole file), ``untrimmed`` (frames [begin,
    end) of the original recordings) or ``360p`` (the same of the 360p recordings); ``labels``
    says which of the files decides on the label, ``annotations`` or ``dataframe``;
    ``no_event`` whether to ``keep`` or ``drop`` the clips in which nothing is signed;
    ``mismatch`` what to do in original recordings with rows whose frames are those of another
    frame rate, ``drop`` or ``keep``.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not one of Slovo's.
        RecipeError: An option is unknown, or untrimmed recordings are asked for without a file
            that has begin and end.
    """
    options = choose(source, adapter="slovo", known=_OPTIONS)
    listed: _Rows = {}
    framed: _Rows = {}
    bad = [row for path in source.files for row in _read_file(path, listed, framed)]
    if options["videos"] != "trimmed" and not framed:
        raise RecipeError(
            f"[ingest] options: videos = {options['videos']!r} needs the begin and end of signs, "
            f"of which {', '.join(path.name for path in source.files)} has none.",
            hint="Add SLOVO_DATAFRAME.tsv to `annotations`.",
        )
    for key in dict.fromkeys([*listed, *framed]):
        row = _annotation(key, listed.get(key), framed, options)
        if options["no_event"] == "keep" or row.label != "no_event":
            yield row
    yield from bad


def _read_file(path: Path, listed: _Rows, framed: _Rows) -> Iterator[Annotation]:
    """Enter the rows of a file where they belong; yield those that cannot be used."""
    lines = read_cells(path, names=_COLUMNS)
    first, cells = next(lines)
    header = [cell.strip() for cell in cells]
    targets = [t for t, name in ((listed, "train"), (framed, "begin")) if name in header]
    complete = set(header) >= _NEEDED and ("end" in header) == ("begin" in header)
    if not complete or not targets or len(set(header)) < len(header):
        raise wrong_file(
            path,
            adapter="slovo",
            found=header,
            expected="the columns attachment_id, text, user_id, and train (annotations.csv) or "
            "begin and end (SLOVO_DATAFRAME.tsv), each once",
            line=first,
        )
    for line, cells in lines:
        cells = [unicodedata.normalize("NFC", cell).strip() for cell in cells]
        row = _Row(where=f"{path.name}:{line}", cells=dict(zip(header, cells, strict=False)))
        key = row.cells.get("attachment_id", "")
        twin = next((target[key] for target in targets if key in target), None)
        if len(cells) != len(header):
            reason = f"{len(cells)} cells, but the header has {len(header)}"
            yield _bad(row, ("K124", reason))
        elif not key:
            yield _bad(row, ("K103", "column 'attachment_id': is empty; expected the id of a clip"))
        elif twin is not None:
            reason = f"attachment_id {key!r:.60} is already listed at {twin.where}"
            yield _bad(row, ("K119", reason))
        else:
            for target in targets:
                target[key] = row


def _bad(row: _Row, problem: tuple[str, str]) -> Annotation:
    return Annotation(
        source=row.where,
        recording=row.cells.get("attachment_id", ""),
        start=None,
        end=None,
        unit="frame",
        problem=problem,
    )


def _annotation(
    key: str, listed: _Row | None, framed: _Rows, options: Mapping[str, str]
) -> Annotation:
    """The clip of this id, which one of the two files names at least."""
    lead_in = _NO_EVENT.fullmatch(key)
    # A clip without a sign has no row of its own in the second file: its sign's row tells where.
    frames = framed.get(lead_in[1] if lead_in else key)
    row = listed or framed[key]
    texts = {"annotations": row.cells["text"]}
    if not lead_in and frames is not None:
        texts["dataframe"] = frames.cells["text"]
    label = texts.get(options["labels"], row.cells["text"])
    notes: list[tuple[str, str]] = []
    if len(set(texts.values())) > 1 and frames is not None:
        other = next(text for text in texts.values() if text != label)
        place = frames.where if label == row.cells["text"] else row.where
        notes.append(("K127", f"label {label!r:.60} is {other!r:.60} at {place}"))
    train = row.cells.get("train")
    side = _SIDES.get((train or "").casefold())
    problem = None
    if train is not None and side is None:
        problem = ("K124", f"column 'train': {train!r:.60} is not True or False")
    annotation = Annotation(
        source=row.where,
        recording=f"{side}/{key}.mp4" if side else f"{key}.mp4",
        start="0",
        end=END,
        unit="frame",
        label=label,
        signer=row.cells["user_id"],
        split=side,
        notes=tuple(notes),
        problem=problem,
    )
    if options["videos"] == "trimmed" or problem is not None:
        return annotation
    return _untrimmed(annotation, listed, frames, lead_in, options)


def _untrimmed(
    annotation: Annotation,
    listed: _Row | None,
    frames: _Row | None,
    lead_in: re.Match[str] | None,
    options: Mapping[str, str],
) -> Annotation:
    """The same clip as frames of the recording that it was cut from."""
    if frames is None:
        reason = "no file says where in its recording it begins and ends"
        return replace(annotation, start=None, end=None, problem=("K111", reason))
    start, end = ("0", "begin") if lead_in else (frames.cells["begin"], "end")
    name = annotation.recording.rsplit("/", 1)
    if lead_in:
        name[-1] = f"{lead_in[1]}.mp4"
    annotation = replace(
        annotation,
        recording="/".join(name),
        start=start,
        end=frames.cells[end],
        start_column="begin",
        end_column=end,
    )
    length = listed.frame("length") if listed else None
    first, last = (0 if lead_in else frames.frame("begin")), frames.frame(end)
    if options["videos"] == "360p" or listed is None or frames is listed:
        return annotation
    if length is None or first is None or last is None or last - first == length:
        return annotation
    reason = (
        f"{frames.where} gives it {last - first} frames, [{first}, {last}) at 360p, but the "
        f"trimmed clip has {length}: the recording runs at another rate"
    )
    if options["mismatch"] == "keep":
        return replace(annotation, notes=(*annotation.notes, ("K127", reason)))
    return replace(annotation, problem=("K127", reason))
