"""AUTSL: Turkish Sign Language, 226 signs by 43 signers, in colour and depth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.table import read_cells
from kslds.errors import AnnotationError, RecipeError

ABOUT = About(
    title="AUTSL",
    what="Turkish Sign Language: single signs, as colour and depth video of a Kinect",
    size="36,302 labelled samples (28,142 train, 4,418 validation, 3,742 test; the paper states "
    "38,336) of 226 signs by 31, 6 and 6 signers; the sample seen is 512 x 512 at 30 fps",
    licence="academic use only (ChaLearn LAP)",
    citation="AUTSL, in the ChaLearn Looking at People challenge on isolated sign recognition",
    access="On request, as split ZIP archives with a password (18, 3 and 3 parts). Files are "
    "{train|val|test}/signer{S}_sample{N}_color.mp4 and _depth.mp4; labels are train_labels.csv, "
    "validation_labels.csv or ground_truth_validation.csv, and test_labels.csv.",
    defects=(
        (
            "The label files have no header, and circulate with either kind of line end.",
            "The side is read from the name of the file: train, val or test.",
        ),
        (
            "The labels are numbers; SignList_ClassId_TR_EN.csv names them. The English name you "
            "occurs twice, and the Turkish names are without their diacritics. Three copies that "
            "differ circulate.",
            "Names go by ClassId; one that two classes share gets the number behind it.",
        ),
        (
            "Signer numbers have gaps (0 to 42 for 43 signers of three sides).",
            "They are names and nothing is counted by them.",
        ),
    ),
)

_OPTIONS = {"stream": ("color", "depth", "both"), "names": ("tr", "en", "class")}
_CLASSES = 226
_SAMPLE = re.compile(r"(signer[0-9]{1,4})_sample[0-9]{1,6}")
_SIDES = {"train": "train", "training": "train", "val": "val", "valid": "val",
          "validation": "val", "test": "test", "testing": "test"}  # fmt: skip
_LIST = ("ClassId", "TR", "EN")
_EXPECTED = (
    "rows such as signer0_sample1,41 without a header, or the columns ClassId, TR and EN of the "
    "list of signs"
)


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per sample and stream; each is a whole file.

    Options: ``stream`` is ``color``, ``depth`` or ``both``; ``names`` says what the label is
    where the list of signs is among the files: its Turkish name ``tr``, its English name
    ``en``, or the number of its class, ``class``. Without the list it is the number.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not one of AUTSL's, or its name does not tell its side.
        RecipeError: An option is unknown.
    """
    options = choose(source, adapter="autsl", known=_OPTIONS)
    names: Mapping[str, str] | None = None
    labels: list[tuple[Path, Iterator[tuple[int, list[str]]]]] = []
    for path in source.files:
        rows = read_cells(path, names=_LIST)
        first = next(rows)
        cells = [cell.strip() for cell in first[1]]
        if set(_LIST) <= set(cells):
            names = _names(path, cells, rows, column=options["names"])
        elif _SAMPLE.fullmatch(cells[0]):
            labels.append((path, chain([first], rows)))
        else:
            raise wrong_file(path, adapter="autsl", found=cells, expected=_EXPECTED, line=first[0])
    if not labels:
        raise RecipeError(
            "[ingest] annotations: there is a list of signs, but no file of labels.",
            hint="Add train_labels.csv, validation_labels.csv and test_labels.csv.",
        )
    streams = ("color", "depth") if options["stream"] == "both" else (options["stream"],)
    seen: dict[str, str] = {}
    for path, rows in labels:
        side = _side(path)
        for line, cells in rows:
            where = f"{path.name}:{line}"
            for stream in streams:
                yield _annotation(cells, where, side=side, stream=stream, names=names, seen=seen)


def _side(path: Path) -> str:
    words = re.split(r"[^a-z]+", path.stem.casefold())
    found = {_SIDES[word] for word in words if word in _SIDES}
    if len(found) == 1:
        return found.pop()
    several = f"names several sides, {' and '.join(sorted(found))}"
    raise AnnotationError(
        f"{path} has labels, but its name {several if found else 'does not say of which side'}.",
        hint="Name it train_labels.csv, validation_labels.csv or test_labels.csv.",
    )


def _names(
    path: Path, header: list[str], rows: Iterator[tuple[int, list[str]]], *, column: str
) -> Mapping[str, str] | None:
    """Class → name, all different; None where classes go by their number."""
    found: dict[str, str] = {}
    for line, cells in rows:
        row = dict(zip(header, map(str.strip, cells), strict=False))
        key = row.get("ClassId", "")
        if len(cells) != len(header) or not key or key in found or not row.get(column.upper(), "x"):
            raise AnnotationError(
                f"{path}, line {line}: expected a ClassId of its own, a TR and an EN name; "
                f"it has {cells!r:.80}.",
                hint="Fetch the list again.",
            )
        found[key] = row.get(column.upper(), key)
    if not found:
        raise AnnotationError(
            f"{path} is a list of signs without any; expected a ClassId and its names a line.",
            hint="Fetch the list again.",
        )
    if column == "class":
        return None
    shared = Counter(found.values())
    return {key: f"{name} ({key})" if shared[name] > 1 else name for key, name in found.items()}


def _annotation(
    cells: list[str],
    where: str,
    *,
    side: str,
    stream: str,
    names: Mapping[str, str] | None,
    seen: dict[str, str],
) -> Annotation:
    sample, number = (cells[0].strip(), cells[1].strip()) if len(cells) == 2 else ("", "")
    known = _SAMPLE.fullmatch(sample)
    problem = None
    if len(cells) != 2:
        problem = ("K124", f"{len(cells)} cells; expected a sample and its class")
    elif known is None:
        problem = ("K103", f"{sample!r:.60} is not a sample such as signer0_sample1")
    elif seen.setdefault(sample, where) != where:
        problem = ("K119", f"{sample} is already listed at {seen[sample]}")
    elif not re.fullmatch("[0-9]{1,3}", number) or int(number) >= _CLASSES:
        problem = ("K118", f"the class {number!r:.20} is not a number from 0 to {_CLASSES - 1}")
    elif names is not None and number not in names:
        problem = ("K118", f"the list of signs has no class {number}")
    return Annotation(
        source=where,
        recording=f"{side}/{sample}_{stream}.mp4",
        start="0",
        end=END,
        unit="frame",
        label=names.get(number, number) if names else number,
        signer=known[1] if known else None,
        tier=stream,
        split=side,
        problem=problem,
    )
