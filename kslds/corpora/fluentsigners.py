"""FluentSigners-50: continuous sentences, one file a repetition.

A file's name says who signs what: ``<sentence>/P<signer>_S<sentence>_<repetition>.mp4``.
What a sentence means stands in tables by its number, ``gloss_annotation.csv`` (ID, Gloss)
and ``russian_translation.csv`` (ID, Translation) or, in Kazakh, a JSON object of number to
text. A take is the whole file.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.jsonl import read_json
from kslds.corpora.table import read_cells, read_rows
from kslds.errors import AnnotationError
from kslds.orthography import mixed_scripts

ABOUT = About(
    title="FluentSigners-50",
    what="everyday sentences in Kazakh-Russian Sign Language, crowd-sourced: signers recorded "
    "themselves with their own phones and webcams",
    size="173 sentences, 50 signers (32 deaf, 6 hard of hearing, 9 CODA, 3 SODA; 8 to 57 years "
    "old), 5 repetitions: 250 files in each of 173 folders, 43,250 files; 279 glosses",
    licence="none stated",
    citation="Mukushev et al., FluentSigners-50: A signer independent benchmark dataset for sign "
    "language processing, PLoS ONE 17(9), 2022",
    access="github.com/krslproject/FluentSigners-50 for the tables; the videos are linked there. "
    "The Kazakh sentences are those of another public repository (numbers 0 to 81): they go into "
    "`translation_kk`, beside the Russian ones in `translation`. The lists of the three splits are "
    "linked but not there.",
    defects=(
        (
            "signers are written with one digit or two (P3_S147_02, P03_S147_02)",
            "both are signer P03",
        ),
        (
            "numbers of sentences have gaps; sentence 100 has glosses and no translation",
            "each such sentence is named once, with the number of its clips (K133)",
        ),
        (
            "a gloss mixes Cyrillic and Latin letters (САНКТ-ПEТЕРБУРГ with a Latin E)",
            "it is named (K303) and left as it is",
        ),
        (
            "the lists of the splits by signer, age and sentence are not published",
            '[split] by = "signer", "age" or "sentence" makes them by rule; if you have the '
            'lists, name them among the annotations and set by = "published": each becomes a split '
            "of its own, named after its file or folder; `kslds audit LIST` tells whether one "
            "shares signers",
        ),
    ),
)

_NAME = re.compile(r"[Pp](?P<signer>[0-9]{1,2})_[Ss](?P<sentence>[0-9]{1,4})_[0-9]{1,3}")
_STYLE = "P<signer>_S<sentence>_<repetition>, such as P3_S147_02"
_LIST_SIDES = ("train", "dev", "val", "validation", "test")
_COLUMNS = ("id", "gloss", "translation")
_MAX_JSON_BYTES = 16 << 20
_EXPECTED = (
    "columns ID and Gloss, or ID and Translation, or a list of names such as P3_S147_02 with "
    "their side"
)


_Key = tuple[int, int, int]
"""Signer, sentence and repetition."""


@dataclass(kw_only=True)
class _Tables:
    """What the annotation files say; read them all before the first question."""

    glosses: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Sentence → where it stands, and its glosses."""
    translations: dict[int, tuple[str, str]] = field(default_factory=dict)
    kazakh: dict[int, tuple[str, str]] = field(default_factory=dict)
    sides: dict[str, dict[_Key, tuple[str, str]]] = field(default_factory=dict)
    """Benchmark → repetition → where it stands, and its side."""

    def side(self, key: _Key) -> str | None:
        """On which side the lists have a repetition; of several benchmarks, ``name=side`` each."""
        found = [(name, of[key][1]) for name, of in sorted(self.sides.items()) if key in of]
        if not found:
            return None
        return " ".join("=".join(pair) for pair in found) if self.is_several else found[0][1]

    @cached_property
    def is_several(self) -> bool:
        """Are there lists of several benchmarks, rather than parts of one?"""
        return len(self.listed) < sum(map(len, self.sides.values()))

    @cached_property
    def listed(self) -> dict[_Key, str]:
        """Each repetition that a list names, and where the first one does."""
        found: dict[_Key, str] = {}
        for sides in self.sides.values():
            for key, (where, _) in sides.items():
                found.setdefault(key, where)
        return found

    def text(self, kind: str, sentence: int) -> str | None:
        """What one of the tables says of a sentence."""
        known: dict[int, tuple[str, str]] = getattr(self, kind)
        return known.get(sentence, ("", ""))[1] or None

    def meaning(self, sentence: int) -> str | None:
        """Its glosses, or what stands for them."""
        kinds = ("glosses", "translations", "kazakh")
        return next((text for kind in kinds if (text := self.text(kind, sentence))), None)

    def add(self, kind: str, number: str, text: str, where: str) -> None:
        """Add a sentence.

        Raises:
            AnnotationError: The number is not one, or is there twice with another text.
        """
        if not re.fullmatch(r"[0-9]{1,4}", number):
            raise AnnotationError(
                f"{where}: the ID {number!r:.40} is not the number of a sentence."
            )
        known: dict[int, tuple[str, str]] = getattr(self, kind)
        other, said = known.setdefault(int(number), (where, text))
        if said != text:
            raise AnnotationError(
                f"{where}: sentence {number} is {text!r:.60} here and {said!r:.60} in {other}.",
                hint="Keep one of them, or one of the files.",
            )


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per media file, then one per sentence of which there is no file.

    Where no media are known, as to an audit, each repetition that a list names is one, else each
    sentence. Where there is no table of glosses, the translation is the sentence.

    Kazakh is the `translation_kk`. A file whose name does not begin with one of ``ru``, ``kk``,
    ``kaz`` is Russian if a table, Kazakh if JSON.

    Lists that name the same repetitions are those of several benchmarks, which are called as
    the files without the side (``split1.txt``, ``signer_test.txt``), or as the folder of a file
    that is named after its side (``signer/test.txt``).

    Options: ``language`` of the `translation`, ``ru`` (default) or ``kk``. ``list_side``: the
    side of the names in a list that does not say it.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is none of those of the collection, says two things of one
            sentence, or no media file has one of its names.
        RecipeError: An option or its value is not known.
    """
    known = {"language": ("ru", "kk"), "list_side": ("", *_LIST_SIDES)}
    options = choose(source, adapter="fluentsigners-50", known=known)
    tables = _Tables()
    for path in source.files:
        _read_file(path, tables, options)
    if options["language"] == "kk":
        if tables.translations and not tables.kazakh:
            raise AnnotationError(
                f"no file has translations in 'kk'; {_place(tables.translations)} has others.",
                hint='Set [ingest] options = { language = "ru" }, or add the Kazakh file.',
            )
        tables.translations = tables.kazakh
    if source.media and not (tables.glosses or tables.translations or tables.kazakh):
        named = f" of {', '.join(path.name for path in source.files)}" if source.files else ""
        raise AnnotationError(
            f"nothing says what the sentences mean: no row{named} has glosses or a translation.",
            hint="Name gloss_annotation.csv and russian_translation.csv as `annotations`.",
        )
    names = {name: _parse(PurePosixPath(name).stem) for name in source.media}
    if names and not any(names.values()):
        raise AnnotationError(
            f"none of the {len(names)} media files is named {_STYLE}; "
            f"the first is {source.media[0]!r:.120}.",
            hint="Name the folder of FluentSigners-50, or another adapter.",
        )
    clips = Counter(parsed[1] for parsed in names.values() if parsed)
    noted: set[int] = set()
    seen: dict[_Key, str] = {}
    for name, parsed in names.items():
        if parsed is None:
            reason = f"{PurePosixPath(name).name!r:.120} is not named {_STYLE}"
            yield _problem(name, name, "K118", reason)
            continue
        if seen.setdefault(parsed, name) != name:
            yield _problem(name, name, "K119", f"the same repetition as {seen[parsed]}")
            continue
        signer, sentence, _ = parsed
        folder = PurePosixPath(name).parent.name
        if re.fullmatch(r"[0-9]{3}", folder) and int(folder) != sentence:
            reason = f"the folder {folder!r} is that of another sentence than S{sentence:03d}"
            yield _problem(name, name, "K132", reason)
            continue
        notes = () if sentence in noted else _notes(sentence, tables, number=clips[sentence])
        noted.add(sentence)
        meaning = tables.meaning(sentence)
        if (tables.text("glosses", sentence) if tables.glosses else meaning) is None:
            reason = f"no table has glosses for sentence {sentence}"
            yield _problem(name, name, "K118", reason)
            continue
        yield Annotation(
            source=name,
            recording=name,
            start="0",
            end=END,
            unit="ms",
            sentence=meaning,
            translation=tables.text("translations", sentence),
            translation_kk=tables.text("kazakh", sentence),
            signer=f"P{signer:02d}",
            split=tables.side(parsed),
            notes=notes,
        )
    if source.media:
        yield from _absent(tables, clips.keys(), seen)
    else:
        yield from _listed(tables)
        yield from () if tables.sides else _sentences(tables)


def _listed(tables: _Tables) -> Iterator[Annotation]:
    """What the lists say where no media are known, as in an audit: a row for each repetition.

    Raises:
        AnnotationError: They are of several benchmarks: a repetition has a side in each.
    """
    if tables.is_several:
        raise AnnotationError(
            f"the lists are of several benchmarks: {', '.join(sorted(tables.sides))}.",
            hint="Name the list of one of them at a time.",
        )
    for key, where in tables.listed.items():
        signer, sentence, repetition = key
        yield Annotation(
            source=where,
            recording=f"P{signer}_S{sentence:03d}_{repetition:02d}",
            start="0",
            end=END,
            unit="ms",
            sentence=tables.meaning(sentence) or f"S{sentence:03d}",
            translation=tables.text("translations", sentence),
            translation_kk=tables.text("kazakh", sentence),
            signer=f"P{signer:02d}",
            split=tables.side(key),
        )


def _sentences(tables: _Tables) -> Iterator[Annotation]:
    """The sentences of the tables, where neither media nor lists are known."""
    for sentence in sorted({*tables.glosses, *tables.translations, *tables.kazakh}):
        yield Annotation(
            source=_place(tables.glosses, tables.translations, tables.kazakh, sentence=sentence),
            recording="",
            start="0",
            end=END,
            unit="ms",
            sentence=tables.meaning(sentence),
            translation=tables.text("translations", sentence),
            translation_kk=tables.text("kazakh", sentence),
            notes=_notes(sentence, tables),
        )


def _place(*kinds: Mapping[int, tuple[str, str]], sentence: int | None = None) -> str:
    """Where a sentence, or any, stands first."""
    places = (k[min(k) if sentence is None else sentence][0] for k in kinds
              if sentence is None or sentence in k)  # fmt: skip
    return next(places)


def _notes(
    sentence: int, tables: _Tables, *, number: int | None = None
) -> tuple[tuple[str, str], ...]:
    """What should be known of a sentence; `number` of its clips, where there are any."""
    notes = []
    lacks = [
        what
        for what, kind in (("glosses", "glosses"), ("translation", "translations"))
        if getattr(tables, kind) and not tables.text(kind, sentence)
    ]
    if lacks:
        text = f"sentence {sentence} has no {' and no '.join(lacks)}"
        notes.append(("K133", text if number is None else f"{text}; it has {number} clip(s)"))
    where, glosses = tables.glosses.get(sentence, ("", ""))
    notes += [
        ("K303", f"{where}: the gloss {word!r:.60} mixes Cyrillic and Latin letters")
        for word in mixed_scripts(glosses)
    ]
    return tuple(notes)


def _absent(
    tables: _Tables, present: Iterable[int], seen: Mapping[_Key, str]
) -> Iterator[Annotation]:
    """Sentences and listed repetitions of which there is no media file."""
    for sentence in sorted({*tables.glosses, *tables.translations, *tables.kazakh} - set(present)):
        where = _place(tables.glosses, tables.translations, tables.kazakh, sentence=sentence)
        reason = f"there is no media file of sentence {sentence}, such as P0_S{sentence:03d}_00"
        yield _problem(where, f"P0_S{sentence:03d}_00", "K103", reason)
    for key, where in sorted(tables.listed.items()):
        if key not in seen:
            name = f"P{key[0]}_S{key[1]:03d}_{key[2]:02d}"
            yield _problem(where, name, "K103", f"{name} is not among the media files")


def _parse(stem: str) -> _Key | None:
    """Signer, sentence and repetition of a name."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    return int(match["signer"]), int(match["sentence"]), int(stem.rpartition("_")[2])


# The files


def _read_file(path: Path, tables: _Tables, options: Mapping[str, str]) -> None:
    stem, is_json = path.stem.casefold(), path.suffix.lower() == ".json"
    kazakh = stem.startswith(("kk", "kaz", "qaz")) or (is_json and not stem.startswith("ru"))
    kind = "kazakh" if kazakh else "translations"
    if is_json:
        for number, text in _json(path).items():
            tables.add(kind, number, text, f"{path.name}, key {number!r:.20}")
        return
    _, cells = next(read_cells(path, names=("ID", "Gloss", "Translation", "name", "split")))
    header = [unicodedata.normalize("NFC", cell).strip() for cell in cells]
    column = {name.casefold(): name for name in header if name.casefold() in _COLUMNS}
    if "id" in column and len(column) > 1:
        for line, row in read_rows(path, names=list(column.values())):
            where = f"{path.name}:{line}"
            for name, what in (("gloss", "glosses"), ("translation", kind)):
                if name in column:
                    tables.add(what, row[column["id"]], row[column[name]], where)
        return
    if not is_list(header):
        raise wrong_file(path, adapter="fluentsigners-50", found=header, expected=_EXPECTED)
    _read_list(path, tables, options)


def is_table(header: Sequence[str]) -> bool:
    """Is this the header of a table of sentences, and of nothing else, as it is published?"""
    return len(header) > 1 and "ID" in header and {"ID", "Gloss", "Translation"}.issuperset(header)


def is_list(cells: Sequence[str]) -> bool:
    """Is this the first line of a list of sides?"""
    return _is_heading(cells) or _listed_name(cells[0]) is not None


def _side_and_benchmark(path: Path) -> tuple[str, str]:
    """The side that the name of a list states, or none, and what the list is one of."""
    words = re.split(r"[^a-z0-9]+", path.stem.casefold())
    sides = [word for word in words if word in _LIST_SIDES]
    rest = "-".join(word for word in words if word and word not in sides)
    name = rest or re.sub(r"[^a-z0-9]+", "-", path.parent.name.casefold()).strip("-")
    return sides[0] if len(sides) == 1 else "", name or "list"


def _is_heading(cells: Sequence[str]) -> bool:
    """Are these the heads of a list: one of two columns is ``split``, the other names a clip?"""
    heads = [cell.strip().casefold() for cell in cells]
    return len(heads) == 2 and "split" in heads and not any(map(_listed_name, heads))


def _listed_name(cell: str) -> _Key | None:
    """The repetition that the first cell of a list names, by a path or with its side behind it."""
    first = cell.split()[:1]
    return _parse(PurePosixPath(first[0].replace("\\", "/")).stem) if first else None


def _read_list(path: Path, tables: _Tables, options: Mapping[str, str]) -> None:
    """A list of repetitions, with the side of each in a second cell or in the file's name."""
    of_file, benchmark = _side_and_benchmark(path)
    sides = tables.sides.setdefault(benchmark, {})
    first, side_first = None, False
    for line, cells in read_cells(path, names=("name", "split")):
        first = line if first is None else first
        words = " ".join(cells).split()
        if line == first and _is_heading(cells):
            side_first = cells[0].strip().casefold() == "split"
            continue
        words = words[::-1] if side_first else words
        where = f"{path.name}:{line}"
        key = _listed_name(words[0]) if words else None
        if key is None or len(words) > 2:
            raise AnnotationError(
                f"{where}: expected a name such as P3_S147_02 and its side, "
                f"found {' '.join(words)!r:.60}."
            )
        side = words[1].casefold() if len(words) == 2 else of_file or options["list_side"]
        if side not in _LIST_SIDES:
            raise AnnotationError(
                f"{where}: the side {side!r:.40} is not one of {', '.join(_LIST_SIDES)}."
                if side
                else f"{where}: the list does not say on which side {words[0]!r:.40} is.",
                hint="Name the file after its side (test.txt), write the side behind each name, "
                'or set options = { list_side = "test" }.',
            )
        other, said = sides.setdefault(key, (where, side))
        if said != side:
            raise AnnotationError(
                f"{where}: {words[0]} is in {side!r} here, in {said!r} in {other}.",
                hint="Keep one of the lines; a list of another benchmark has another name.",
            )
    if not sides:
        raise AnnotationError(
            f"{path} names no repetition; expected a name such as P3_S147_02 and its side a line.",
            hint="Export it again, or take it out of the recipe.",
        )


def _json(path: Path) -> dict[str, str]:
    """Number of a sentence → text."""
    if path.is_file() and path.stat().st_size > _MAX_JSON_BYTES:
        raise AnnotationError(f"{path} is larger than {_MAX_JSON_BYTES >> 20} MiB.")
    value = read_json(path)
    if not isinstance(value, dict):
        raise wrong_file(path, found=(), expected="an object of sentence number to text")
    # A number is read as text too, but a sentence has letters.
    wrong = [
        key
        for key, text in value.items()
        if not re.fullmatch(r"[0-9]{1,4}", key)
        or not isinstance(text, str)
        or (text.strip() and not any(map(str.isalpha, text)))
    ]
    if wrong:
        raise wrong_file(path, found=value, expected="an object of sentence number to text")
    return {k: unicodedata.normalize("NFC", v).strip() for k, v in value.items()}


def _problem(where: str, recording: str, code: str, reason: str) -> Annotation:
    return Annotation(
        source=where, recording=recording, start=None, end=None, unit="ms", problem=(code, reason)
    )
