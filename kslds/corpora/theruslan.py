"""TheRuSLan: Russian Sign Language in a supermarket, recorded with a Kinect.

Its layout is not public, so nothing of it is guessed here: the adapter reads a table that the
user makes, as the adapter ``table`` does.
"""

from __future__ import annotations

from collections.abc import Iterator

from kslds.corpora import About, Annotation, Source, choose, table

ABOUT = About(
    title="TheRuSLan",
    what="Russian Sign Language: single signs, as FullHD colour, depth and infrared video of a "
    "Kinect 2",
    size="164 signs by 13 signers, at least 5 repetitions: 10,660 examples, more than 8 hours, "
    "3.8 TB, by its paper; work on transfer from AUTSL uses 18 of the signs",
    licence="as agreed with its authors",
    citation="TheRuSLan: Database of Russian Sign Language, by its authors",
    access="On request only. No description of its files is public: write a table with one row "
    "per example and map its columns in the recipe.",
    defects=(
        (
            "The layout of the files is not published.",
            "A table is read, with the columns that the recipe names; nothing is assumed.",
        ),
    ),
)


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per row of the user's tables; see `kslds.corpora.table.read`.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not a text table, or lacks a column.
        RecipeError: `source.columns` maps a field that does not exist, or there are options.
    """
    choose(source, adapter="theruslan", known={})
    return table.read(source)
