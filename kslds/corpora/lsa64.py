"""LSA64: Argentinian Sign Language; everything is said in the names of the files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.table import read_cells
from kslds.errors import AnnotationError

ABOUT = About(
    title="LSA64",
    what="Argentinian Sign Language: single signs",
    size="64 signs by 10 signers",
    licence="as its authors state; none was seen with the files",
    citation="LSA64: a dataset for Argentinian Sign Language, by its authors",
    access="Public. Files are {sign}_{signer}_{repetition}.mp4 with three digits each, from 001. "
    "A list of classes has lines such as 01|Opaque|R| (number, name, hand: right or both); a "
    "Spanish one has 1|Opaco|Una.",
    defects=(
        (
            "No split is published.",
            'split = "openhands" gives the side that OpenHands uses: signers 1 to 8 train, 9 '
            "validation, 10 test.",
        ),
        (
            "Names of the signs are in a list of their own, with or without leading zeros.",
            "Where the list is among the annotations it names the labels; otherwise the label is "
            "the number, as 001.",
        ),
    ),
)

_OPTIONS = {"split": ("none", "openhands")}
_NAME = re.compile(r"([0-9]{3})_([0-9]{3})_([0-9]{3})")


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per media file whose name is that of a sample; each is a whole file.

    `source.files` may hold the list of classes. Option: ``split`` is ``none`` or ``openhands``.

    Raises:
        MissingFile: The list of classes is not there.
        AnnotationError: No name is that of a sample, or a file is not a list of classes.
        RecipeError: An option is unknown.
    """
    options = choose(source, adapter="lsa64", known=_OPTIONS)
    names: dict[int, str] = {}
    for path in source.files:
        names.update(_names(path))
    found = 0
    for name in source.media:
        match = _NAME.fullmatch(PurePosixPath(name).stem)
        if match is None:  # ingest reports recordings that no annotation names
            continue
        found += 1
        sign, signer = int(match[1]), int(match[2])
        problem = None
        if names and sign not in names:
            problem = ("K118", f"the list of classes has no number {sign}")
        yield Annotation(
            source=f"{name}:1",
            recording=name,
            start="0",
            end=END,
            unit="frame",
            label=names.get(sign, match[1]),
            signer=match[2],
            split=_side(signer) if options["split"] == "openhands" else None,
            problem=problem,
        )
    if not found:
        seen = f", such as {source.media[0]!r:.60}" if source.media else ""
        raise AnnotationError(
            f"none of the {len(source.media)} media files{seen} is named "
            "{sign}_{signer}_{repetition} with three digits each.",
            hint="Name the folder of LSA64 as `media`, or another adapter.",
        )


def _side(signer: int) -> str | None:
    return {9: "val", 10: "test"}.get(signer, "train" if 1 <= signer <= 8 else None)


def _names(path: Path) -> Mapping[int, str]:
    names: dict[int, str] = {}
    for line, cells in read_cells(path):
        number, name = (*map(str.strip, cells), "")[:2]
        if not re.fullmatch("[0-9]{1,3}", number) or not name:
            if not names:
                raise wrong_file(
                    path, adapter="lsa64", found=cells, expected="lines such as 01|Opaque|R|",
                    line=line,
                )  # fmt: skip
            raise AnnotationError(
                f"{path}, line {line}: {cells!r:.80} is not a line such as 01|Opaque|R|."
            )
        if int(number) in names or name in names.values():
            raise AnnotationError(
                f"{path}, line {line}: the number or the name of {number}|{name:.40} occurs twice.",
                hint="Every class needs a number and a name of its own.",
            )
        names[int(number)] = name
    return names
