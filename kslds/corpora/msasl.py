"""MS-ASL: American Sign Language, 1,000 glosses from YouTube.

A row has its boundaries twice: ``start`` and ``end`` in frames of the video at ``fps``, and
``start_time`` and ``end_time`` in seconds with three digits. The frames are followed, which are
exact. They count from 0 and the end is exclusive: ``start / fps`` is ``start_time`` and
``end / fps`` is ``end_time``, and where signs follow each other the end of one is the start of
the next. They become milliseconds, because a video that is fetched today may have another rate.
A rate such as 29.97 is the rounded 30000/1001: after six minutes 1/29.97 per frame would be late
enough to miss the first frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from string import Formatter
from typing import Any

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.jsonl import read_json, scalar
from kslds.corpora.wlasl import youtube_id
from kslds.errors import AnnotationError, RecipeError

ABOUT = About(
    title="MS-ASL",
    what="American Sign Language: single signs in videos on YouTube",
    size="1,000 glosses; the subsets are the first 100, 200 and 500 by number. 5,287 rows val and "
    "4,172 test were counted, train has 16,054 as far as is known. OpenHands' signer-independent "
    "ASL100: 3,789, 1,190 and 757 rows by 136, 33 and 20 signers",
    licence="C-UDA",
    citation="MS-ASL, by Microsoft Research",
    access="The annotations are public (MSASL_train.json, MSASL_val.json, MSASL_test.json, "
    "MSASL_classes.json); the videos are fetched from YouTube. How they are named is up to the "
    'tool: the option name says it, "{youtube_id}" if nothing is said.',
    defects=(
        (
            "The rate is a rounded number (29.97, 23.976, 23.98).",
            "Rates that are n * 1000/1001 rounded to the digits given are taken as that.",
        ),
        (
            "The repack of OpenHands (MS_ASL_SI_ASL100_*.json) leaves out fps and seconds, so that "
            "its frame numbers have no time.",
            'Its rows are dropped with K111. Use MSASL_*.json, or videos = "clips" where each row '
            "was cut already.",
        ),
        (
            "signer and signer_id differ: signer is -1 where it is not known, and one signer_id "
            "can have several.",
            'signer_id is taken; signer = "signer" takes the other, with -1 as unknown.',
        ),
        ("572 val and 1,169 test addresses have no scheme.", "The id is found all the same."),
        (
            "box is the signer's place in the picture, a fraction of its height and width.",
            "It is not used for cropping: clips show the whole picture.",
        ),
        (
            "Videos disappear from YouTube.",
            "Each absent one is dropped with K103.",
        ),
    ),
)

_OPTIONS = {
    "subset": ("all", "100", "200", "500", "1000"),
    "videos": ("raw", "clips"),
    "signer": ("signer_id", "signer"),
    "name": ("{youtube_id}",),
}
_PLACES = ("youtube_id", "file", "label", "text", "split", "index")
_SIDE = re.compile(r"(?:^|[^a-z])(train|val|test)(?:[^a-z]|$)")
_EXPECTED = "rows with url, label, text, start and end (MSASL_train.json …)"


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per row, in the order of the files.

    The label is the name that MSASL_classes.json gives to the row's ``label`` where that file is
    among the annotations, else ``text``.

    Options: ``subset`` is ``all``, or ``100``, ``200``, ``500`` or ``1000`` for the rows of the
    first so many classes; ``videos`` is ``raw`` for videos as fetched, or ``clips`` where each row
    was cut into a file of its own; ``signer`` is the key that names the signer; ``name`` tells how
    the files are named, from ``{youtube_id}``, ``{file}``, ``{label}``, ``{text}``, ``{split}`` and
    ``{index}``, the number of the row from 0. The ending may be left out. Of cut files each row
    has to have one of its own.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not one of MS-ASL's, or its name does not tell its side.
        RecipeError: An option is unknown, or rows that were cut would have one file.
    """
    options = choose(source, adapter="ms-asl", known=_OPTIONS)
    _check_name(options["name"])
    if options["videos"] == "clips" and set(_used(options["name"])) == {"youtube_id"}:
        raise RecipeError(
            '[ingest] options: videos = "clips" needs name, which says how the cut files are '
            f"named: {options['name']!r:.80} is one file for all rows of a video.",
            hint='Such as options = { videos = "clips", name = "{split}_{index}" }.',
        )
    documents: list[tuple[Path, list[dict[str, Any]]]] = []
    names: list[str] | None = None
    for path in source.files:
        document = read_json(path)
        kinds = {type(entry) for entry in document} if isinstance(document, list) else set()
        if kinds == {str}:
            names = [scalar(name) or "" for name in document]
        elif kinds == {dict} and {"url", "start", "end", "text"} <= document[0].keys():
            documents.append((path, document))
        elif kinds != {list}:  # lists of lists are MSASL_synonym.json
            first = document[0] if kinds == {dict} else document
            raise wrong_file(
                path,
                adapter="ms-asl",
                found=first if isinstance(first, dict) else (),
                expected=_EXPECTED,
            )
    if not documents:
        raise RecipeError(
            "[ingest] annotations: no file has rows; MSASL_train.json and others are missing."
        )
    seen: dict[str, str] = {}
    for path, rows in documents:
        side = _SIDE.search(path.name.casefold())
        if side is None:
            raise AnnotationError(
                f"{path} has rows, but its name does not say of which side.",
                hint="Name it MSASL_train.json, MSASL_val.json or MSASL_test.json.",
            )
        for index, row in enumerate(rows):
            if not _is_in(options["subset"], row):
                continue
            found = _annotation(path, index, row, side=side[1], names=names, options=options)
            other = seen.setdefault(found.recording, found.source)
            if options["videos"] == "clips" and found.recording and other != found.source:
                raise RecipeError(
                    f"[ingest] options: name = {options['name']!r:.80} makes one cut file, "
                    f"{found.recording!r:.80}, of two rows, {other} and {found.source}.",
                    hint='Name it by the row too, such as name = "{split}_{index}".',
                )
            yield found


def _is_in(subset: str, row: Mapping[str, Any]) -> bool:
    """Is the class of a row one of the subset's? One that is no number is, and is named there."""
    number = scalar(row.get("label")) or ""
    return subset == "all" or not re.fullmatch("[0-9]{1,5}", number) or int(number) < int(subset)


def _used(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def _check_name(template: str) -> None:
    try:
        fields = [(name, spec, how) for _, name, spec, how in Formatter().parse(template)]
    except ValueError as error:
        raise RecipeError(f"[ingest] options: name = {template!r:.80}: {error}.") from error
    used = [name for name, spec, how in fields if name in _PLACES and not spec and not how]
    if not used or len(used) < sum(name is not None for name, _, _ in fields):
        raise RecipeError(
            f"[ingest] options: name = {template!r:.80} has to be made of "
            f"{', '.join('{' + place + '}' for place in _PLACES)}.",
        )


def _annotation(
    path: Path,
    index: int,
    row: Mapping[str, Any],
    *,
    side: str,
    names: list[str] | None,
    options: Mapping[str, str],
) -> Annotation:
    label, number = scalar(row.get("text")), scalar(row.get("label")) or ""
    problem = None
    if names is not None:
        known = re.fullmatch("[0-9]{1,5}", number) and int(number) < len(names)
        label = names[int(number)] if known else None
        if not known:
            problem = ("K118", f"MSASL_classes.json has no class {number!r:.20}")
    signer = scalar(row.get(options["signer"]))
    values = {
        "youtube_id": youtube_id(scalar(row.get("url")) or ""),
        "file": scalar(row.get("file")),
        "label": number or None,
        "text": scalar(row.get("text")),
        "split": side,
        "index": str(index),
    }
    recording, lost = _name(options["name"], values)
    annotation = Annotation(
        source=f"{path.name}:{index}",
        recording=recording,
        start="0",
        end=END,
        unit="ms",
        label=label,
        signer=None if signer == "-1" else signer,
        split=side,
    )
    if lost is not None and problem is None:
        reason = f"the row has no {lost}; its url is {scalar(row.get('url'))!r:.80}"
        problem = ("K103", reason)
    if problem is not None:
        return replace(annotation, problem=problem)
    return annotation if options["videos"] == "clips" else _bounded(annotation, row)


def _name(template: str, values: Mapping[str, str | None]) -> tuple[str, str | None]:
    """The file's name, and what is missing for it."""
    parts = []
    for text, name, _, _ in Formatter().parse(template):
        value = "" if name is None else values[name]
        if value is None:
            return "", name
        parts.append(text + value)
    return "".join(parts), None


def _bounded(annotation: Annotation, row: Mapping[str, Any]) -> Annotation:
    rate = scalar(row.get("fps"))
    if rate is not None:
        fps = _rate(rate)
        if fps is None:
            return replace(annotation, problem=("K111", f"fps: {rate!r:.20} is not a frame rate"))
        start, end = (_ms(row.get(name), fps=fps) for name in ("start", "end"))
        if start is None or end is None:
            shown = [scalar(row.get(name)) for name in ("start", "end")]
            reason = f"start {shown[0]!r:.20} or end {shown[1]!r:.20} is not a frame number"
            return replace(annotation, problem=("K111", reason))
        return replace(annotation, start=start, end=end)
    if row.get("start_time") is None or row.get("end_time") is None:
        reason = (
            "start and end are frames, but the row has neither fps nor start_time and end_time, "
            "as in the repack of OpenHands; take MSASL_*.json, or videos = 'clips' for cut files"
        )
        return replace(annotation, problem=("K111", reason))
    return replace(
        annotation,
        start=scalar(row["start_time"]),
        end=scalar(row["end_time"]),
        unit="s",
        start_column="start_time",
        end_column="end_time",
    )


def _rate(text: str) -> Fraction | None:
    """Frames per second; the rounded form of n * 1000/1001 is taken as that."""
    match = re.fullmatch(r"[0-9]{1,4}(?:\.([0-9]{1,20}))?", text)
    stated = Fraction(text) if match else Fraction(0)
    if match is None or not 1 <= stated <= 1000:
        return None
    digits = len(match[1] or "")
    nominal = Fraction(-(-stated.numerator // stated.denominator) * 1000, 1001)
    return nominal if digits >= 2 and round(nominal, digits) == stated else stated


def _ms(frame: object, *, fps: Fraction) -> str | None:
    text = scalar(frame) or ""
    if re.fullmatch(r"[0-9]{1,8}(?:\.0*)?", text) is None:
        return None
    return str(1000 * int(text.split(".")[0]) // fps)
