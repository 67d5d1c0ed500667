"""TheRuSLan: Russian Sign Language in a supermarket, recorded with a Kinect.

Its layout is not public, so nothing of it is guessed here. Whoever has got it says how its files
are named, or writes a table, which is read as the adapter ``table`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from kslds.corpora import END, About, Annotation, Source, choose, table
from kslds.errors import AnnotationError, RecipeError

ABOUT = About(
    title="TheRuSLan",
    what="Russian Sign Language: single signs, as FullHD colour, depth and infrared video of a "
    "Kinect 2",
    size="164 signs by 13 signers, at least 5 repetitions: 10,660 examples, more than 8 hours, "
    "3.8 TB, by its paper; work on transfer from AUTSL uses 18 of the signs",
    licence="as agreed with its authors",
    citation="TheRuSLan: Database of Russian Sign Language, by its authors",
    access="On request only. No description of its files is public. Where each example is a file "
    'of its own, say how the files are named: name = "{signer}/{gloss}_{repetition}". Where '
    "recordings hold several, write a table with one row per example and map its columns.",
    defects=(
        (
            "The layout of the files is not published.",
            "Names are taken apart as the option name says, or a table is read; nothing is "
            "assumed. The recipe has the numbers of the paper to compare with.",
        ),
        (
            "Colour, depth and infrared are videos of their own.",
            'The option name says which one counts, as in "{signer}/{gloss}_{repetition}_color"; '
            "the others are listed as recordings that no row names (K109).",
        ),
    ),
)

_OPTIONS = {"name": ("",)}
_FIELDS = ("signer", "gloss", "repetition", "session")
_PART = re.compile(r"\{([^{}]*)\}|\*|[^{}*]+|.", re.DOTALL)


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per row of the user's tables, or per file whose name fits.

    Option: ``name`` tells how the files of examples are named below the media folder, from
    ``{signer}``, ``{gloss}``, ``{repetition}`` and ``{session}``; ``*`` stands for what does not
    matter, and the ending may be left out. A field ends where the next character of the name
    comes first. Each such file is one example from its first frame to its last.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not a text table, or lacks a column; no name fits.
        RecipeError: `source.columns` maps a field that does not exist, an option is unknown,
            ``name`` is no such name, or neither it nor a table is given, or both.
    """
    name = choose(source, adapter="theruslan", known=_OPTIONS)["name"]
    if bool(name) == bool(source.files):
        raise RecipeError(
            "[ingest] theruslan needs either annotations, a table that you write, or the option "
            f"name, which says how the files are named; it has {'both' if name else 'neither'}.",
            hint='Such as options = { name = "{signer}/{gloss}_{repetition}" }.',
        )
    return _read_names(source, _pattern(name), name) if name else table.read(source)


def _pattern(name: str) -> re.Pattern[str]:
    """What takes a name apart: a field is as long as the character behind it does not come."""
    parts = list(_PART.finditer(name))
    pattern = ""
    seen = []
    for part, behind in zip(parts, [*parts[1:], None], strict=True):
        field, ends = part[1], behind[0][0] if behind else ""
        if field is not None:
            if field not in _FIELDS or field in seen or ends in ("{", "*"):
                raise _unusable(name)
            seen.append(field)
            pattern += f"(?P<{field}>[^/{re.escape(ends)}]+)"
        elif part[0] in "{}":
            raise _unusable(name)
        else:
            pattern += "[^/]*" if part[0] == "*" else re.escape(part[0])
    if not {"signer", "gloss"} <= set(seen):
        raise _unusable(name)
    return re.compile(pattern)


def _unusable(name: str) -> RecipeError:
    return RecipeError(
        f"[ingest] options: name = {name!r:.80} has to be made of {{signer}} and {{gloss}}, and of "
        "{repetition} and {session} where there are any, each once and with a character behind it "
        "that it does not have itself.",
        hint='Such as name = "{signer}/{gloss}_{repetition}".',
    )


def _read_names(source: Source, pattern: re.Pattern[str], written: str) -> Iterator[Annotation]:
    found = 0
    for name in source.media:
        bare = PurePosixPath(name).with_suffix("").as_posix()
        match = pattern.fullmatch(bare) or pattern.fullmatch(name)
        if match is None:  # ingest reports recordings that no annotation names
            continue
        found += 1
        fields = match.groupdict()
        yield Annotation(
            source=f"{name}:1",
            recording=name,
            start="0",
            end=END,
            unit="frame",
            label=fields["gloss"],
            signer=fields["signer"],
            session=fields.get("session"),
        )
    if not found:
        seen = f", such as {source.media[0]!r:.80}," if source.media else ""
        raise AnnotationError(
            f"none of the {len(source.media)} media files{seen} is named {written!r:.80}.",
            hint="Correct options = { name = … }; it is relative to the media folder.",
        )
