"""Word lists as lexicons: take one over from a table or spreadsheet, check it, compare two."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz import fuzz, process, utils

from kslds import sheet as sheets
from kslds.corpora import table
from kslds.errors import AnnotationError, MissingFile, UsageError, ValidationFailed
from kslds.lexicon import COLUMNS, About, Lexicon, collect, entry, problem
from kslds.manifest import shielded, unshielded, write_bytes
from kslds.orthography import (
    ALPHABETS,
    ascii_form,
    fold,
    fold_latin,
    fold_yo,
    foreign_letters,
    has_cyrillic,
    has_latin,
    slug,
    to_latin,
)
from kslds.schema import Issue, Sign

HEADINGS: Mapping[str, tuple[str, ...]] = {
    "gloss_id": ("id", "gloss", "gloss id", "идентификатор", "глосса"),
    "kk": (
        "қазақша", "қазақ тілі", "қазақ тілінде", "қазақ", "каз", "казахский", "казахский язык",
        "по-казахски", "kazakh", "kaz", "kk cyrl",
    ),
    "kk_latn": (
        "латын", "латынша", "қазақша латын", "қазақша (латын)", "латиница", "казахский (латиница)",
        "latin", "kazakh (latin)", "kazakh latin",
    ),
    "ru": (
        "орысша", "орыс тілі", "орыс тілінде", "рус", "русский", "русский язык", "по-русски",
        "russian", "rus",
    ),
    "en": (
        "ағылшынша", "ағылшын тілі", "ағылшын тілінде", "англ", "английский", "английский язык",
        "по-английски", "english", "eng",
    ),
    "category": ("санат", "тақырып", "бөлім", "категория", "тема", "раздел", "topic", "theme"),
    "num_hands": ("қол саны", "количество рук", "число рук", "hands", "number of hands"),
    "source": ("дереккөз", "источник"),
    "region": ("өңір", "аймақ", "регион"),
}  # fmt: skip
"""Headings that are understood without being declared, by column. Case, spaces, hyphens and
underscores do not matter; a column's own name is always understood."""

_SPELLINGS = ("kk", "kk_latn", "ru", "en")
_YES_NO = {
    **dict.fromkeys(("yes", "да", "иә"), "true"),
    **dict.fromkeys(("no", "нет", "жоқ"), "false"),
}
_LANGUAGE = {"kk": "Kazakh", "kk_latn": "Kazakh (Latin)", "ru": "Russian", "en": "English"}
_KAZAKH_ONLY = set("әғқңөұүһі")
_RANK = {"error": 0, "warning": 1, "info": 2}
_SHOWN = 5


# --------------------------------------------------------------------------- import


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What was taken over from a list."""

    signs: tuple[Sign, ...]
    """Sorted by `gloss_id`."""
    columns: Mapping[str, str]
    """Column of the lexicon → heading of the list."""
    assumed: tuple[str, ...]
    """The columns among them that nobody declared."""
    unused: tuple[str, ...]
    """Headings of the list that went nowhere, and columns of text without one."""
    hidden: tuple[str, ...] = ()
    """What was read, or passed over, although the spreadsheet does not show it."""


def read_list(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    sheet: str | None = None,
    source: str | None = None,
) -> Imported:
    """Read a list of signs with a heading line, one sign a row.

    The content decides how a file is read, whatever it is called: an XLSX workbook, or text
    separated by comma, semicolon, tab or ``|``, in UTF-8 or in UTF-16 with a byte order mark.
    Where `gloss_id` is empty or no column of the list, it is the ASCII form of the word.

    Args:
        path: The list.
        columns: Column of the lexicon → heading of the list; headings of `HEADINGS` need not
            be declared.
        sheet: Name of the sheet, where a workbook has several.
        source: Where entries are attested that do not say so themselves.

    Raises:
        MissingFile: There is no such file.
        UsageError: `columns` names a column that a lexicon does not have.
        AnnotationError: The file cannot be read, or lacks a heading.
        ValidationFailed: Rows cannot be taken over; it carries an issue for each.
    """
    if not path.is_file():
        raise MissingFile(f"there is no file {path}.")
    workbook = sheets.is_workbook(path)
    if sheet is not None and not workbook:
        raise UsageError(f"--sheet {sheet!r}: {path} is a text table and has no sheets.")
    page = sheets.read(path, sheet=sheet) if workbook else _text_page(path, columns or {})
    rows = page.rows
    if not rows:
        raise AnnotationError(f"{path} is empty; expected a heading line and a line per sign.")
    header = [_clean(cell) for cell in rows[0].cells]
    found = _columns(path, header, declared=columns or {}, row=rows[0].number)
    issues: list[Issue] = []
    entries: list[tuple[str, Sign]] = []
    for row in rows:
        where = f"{path.name}:{row.number}"
        wrong = [
            f"column {sheets.column_name(index)} ({_heading(header, index)!r:.40}) {why}"
            for index, why in row.wrong
            if row is rows[0] or index in found.values()
        ]
        if row.hidden:
            wrong.append("the row is hidden; show it (take away the filter) or delete it")
        if len(row.cells) > len(header):
            wrong.append(f"{len(row.cells)} cells where the heading has {len(header)}")
        if row is not rows[0] and not wrong:
            sign = _entry(row, found, source=source, wrong=wrong)
            if sign is not None:
                entries.append((where, sign))
                if sign.source is None:
                    issues.append(_without_source(where))
        issues += [problem("K306", where=where, message=message) for message in wrong]
    if not entries and not issues:
        raise AnnotationError(
            f"{path} has a heading line and no rows; expected a line per sign.",
            hint="Name the right file or sheet.",
        )
    signs, more, _ = collect(entries)
    issues += [_own_key(issue) for issue in more]
    if issues:
        raise ValidationFailed(
            f"{path} has {len(issues)} problem(s); nothing was imported.",
            issues=issues,
            hint="Correct the list and import it again.",
        )
    return Imported(
        signs=tuple(sorted(signs, key=lambda sign: sign.gloss_id)),
        columns={column: header[index] for column, index in found.items()},
        assumed=tuple(column for column in found if column not in (columns or {})),
        unused=tuple(_unused(rows, header, found)),
        hidden=tuple(_hidden(page, header, found)),
    )  # fmt: skip


def _unused(
    rows: Sequence[sheets.Row], header: Sequence[str], found: Mapping[str, int]
) -> Iterator[str]:
    for index, name in enumerate(header):
        if name and index not in found.values():
            yield name
        elif not name and any(_clean("".join(row.cells[index : index + 1])) for row in rows[1:]):
            yield f"column {sheets.column_name(index)}, which has no heading"


def _hidden(page: sheets.Page, header: Sequence[str], found: Mapping[str, int]) -> Iterator[str]:
    """What the spreadsheet does not show of a page; a hidden row is refused."""
    if page.hidden:
        yield f"the sheet {page.name!r:.60} is hidden; it was read"
    if page.hidden_sheets:
        yield f"hidden sheets, not read: {_listed(page.hidden_sheets)}"
    for index in sorted(page.hidden_columns):
        name = _heading(header, index)
        if name:
            became = next((column for column, place in found.items() if place == index), None)
            what = f"it was read as {became}" if became else "it was not read"
            yield f"the column {sheets.column_name(index)} ({name!r:.40}) is hidden; {what}"


def _without_source(where: str) -> Issue:
    return problem(
        "K501",
        where=where,
        message="the entry has no source",
        hint="Declare the column that states it, or state one for all with --source TEXT.",
        severity="error",
    )


def _own_key(issue: Issue) -> Issue:
    """Keys may be made of words here, and two words may have one key: С and с, все and всё."""
    if issue.code != "K305" or "gloss_id" not in issue.message:
        return issue
    hint = (
        "Give one of them a key of its own in a column gloss_id, whose other cells may be empty; "
        "or keep one, if they are one sign."
    )
    return dataclasses.replace(issue, hint=hint)


def _clean(cell: str) -> str:
    return unicodedata.normalize("NFC", cell).strip()


def _heading(header: Sequence[str], index: int) -> str:
    return header[index] if index < len(header) else ""


def _text_page(path: Path, columns: Mapping[str, str]) -> sheets.Page:
    names = {name for known in HEADINGS.values() for name in known}
    wanted = {*columns.values(), *COLUMNS, *names, *(name.capitalize() for name in names)}
    rows = [
        sheets.Row(number=line, cells=[unshielded(cell) for cell in cells])
        for line, cells in table.read_cells(path, names=wanted)
    ]
    return sheets.Page(name=path.name, rows=rows)


def _columns(
    path: Path, header: Sequence[str], *, declared: Mapping[str, str], row: int
) -> dict[str, int]:
    """Column of the lexicon → index in the list, in the order of the lexicon."""
    for column in declared:
        if column not in COLUMNS:
            near = _nearest(column, COLUMNS)
            raise UsageError(
                f"--column {column}: a lexicon has no column {column!r}.",
                hint=f"Did you mean {near!r}?" if near else f"Columns are: {', '.join(COLUMNS)}",
            )
    found: dict[str, list[int]] = {}
    for column in COLUMNS:
        if column in declared:
            wanted = {_clean(declared[column])}
            places = [n for n, name in enumerate(header) if name in wanted]
        else:
            wanted = {fold(name) for name in (column, *HEADINGS.get(column, ()))}
            taken = {_clean(name) for name in declared.values()}
            places = [n for n, name in enumerate(header) if fold(name) in wanted - {""}
                      and name not in taken]  # fmt: skip
        if places:
            found[column] = places
        elif column in declared:
            near = _nearest(declared[column], [name for name in header if name])
            raise AnnotationError(
                f"{path}, row {row} has no heading {declared[column]!r}; it has {_listed(header)}.",
                hint=f"Did you mean {near!r}?" if near else "The first row has to be the heading.",
            )
    for column, places in found.items():
        if len(places) > 1:
            names = [header[n] for n in places]
            raise AnnotationError(
                f"{path}, row {row} has several headings for {column!r}: {_listed(names)}.",
                hint=f"Rename all but one, or declare one: --column {column}=HEADING",
            )
    if not {*_SPELLINGS, "gloss_id"} & set(found):
        raise AnnotationError(
            f"{path}, row {row} has no heading for any of gloss_id, {', '.join(_SPELLINGS)}; "
            f"it has {_listed(header)}.",
            hint="If this row is a sign, write a heading line above it, a name for each column, "
            "such as kk and ru; if it is the heading, declare it, as in --column kk=HEADING; "
            "rows above the heading have to go.",
        )
    return {column: places[0] for column, places in found.items()}


def _nearest(name: str, known: Iterable[str]) -> str | None:
    best = process.extractOne(
        name, list(known), scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=60
    )
    return best[0] if best else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"{name!r:.60}" for name in names[:20] if name)
    return (shown or "nothing") + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _entry(
    row: sheets.Row, found: Mapping[str, int], *, source: str | None, wrong: list[str]
) -> Sign | None:
    cells = {
        column: _clean(row.cells[index]) if index < len(row.cells) else ""
        for column, index in found.items()
    }
    if "mirror_safe" in cells:
        cells["mirror_safe"] = _YES_NO.get(cells["mirror_safe"].casefold(), cells["mirror_safe"])
    if not cells.get("gloss_id"):
        word = next((cells[c] for c in _SPELLINGS if cells.get(c)), "")
        if not word:
            wrong.append("has no word to make a key of")
            return None
        cells["gloss_id"] = slug(word)
    if source is not None and not cells.get("source"):
        cells["source"] = _clean(source)
    return entry(cells, wrong=wrong)


def to_csv(signs: Iterable[Sign]) -> bytes:
    """A lexicon file: UTF-8, one entry a line; columns that no entry uses are left out.

    Cells are `shielded`; `lexicon.load` and `read_list` give back what they were.
    """
    rows = [_cells(sign) for sign in signs]
    used = [c for c in COLUMNS if c in ("gloss_id", "kk", "ru") or any(row[c] for row in rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(used)
    writer.writerows([shielded(row[c]) for c in used] for row in rows)
    return text.getvalue().encode()


def _cells(sign: Sign) -> dict[str, str]:
    """An entry as the cells of its row."""
    cells = {}
    for column in COLUMNS:
        value = getattr(sign, column)
        if isinstance(value, bool):
            value = str(value).lower()
        cells[column] = ";".join(value) if isinstance(value, list) else str(value or "")
    return cells


def about_of(**values: str | None) -> About | None:
    """What a lexicon is, from text; None where nothing is stated.

    Raises:
        UsageError: Some of name, version, date and licence are stated and others are not, or
            the date is none.
    """
    given = {key: value for key, value in values.items() if value}
    if set(given) <= {"name"}:
        return None
    missing = [key for key in ("name", "version", "date", "licence") if key not in given]
    if missing:
        raise UsageError(
            f"a lexicon states its version, date and licence together; there is no {missing[0]}.",
            hint=f"Add --{missing[0]}.",
        )
    try:
        date = datetime.date.fromisoformat(given.pop("date"))
    except ValueError as error:
        raise UsageError(f"--date: {error}.", hint="Write it as 2026-01-31.") from error
    return About(date=date, **given)


def write(
    path: Path, *, signs: Iterable[Sign], about: About | None, overwrite: bool = False
) -> None:
    """Write a lexicon, and what it is into the TOML file beside it.

    Raises:
        UsageError: The name does not end in ``.csv``, or there is such a file already.
    """
    if path.suffix != ".csv":
        raise UsageError(f"{path} does not end in .csv; a lexicon is a CSV file.")
    files = {path: to_csv(signs)}
    beside = path.with_suffix(".about.toml")
    if about is not None:
        files[beside] = _toml(about)
    for file, data in files.items():
        if file.exists() and file.read_bytes() != data and not overwrite:
            raise UsageError(
                f"{file} exists already and holds something else.",
                hint="Choose another name, look at the difference with kslds lexicon diff, or "
                "replace it with --overwrite.",
            )
    for file, data in files.items():
        write_bytes(file, data)


def _toml(about: About) -> bytes:
    lines = []
    for key in ("name", "version", "date", "licence", "title", "source"):
        value = getattr(about, key)
        if isinstance(value, datetime.date):
            lines.append(f"{key} = {value.isoformat()}")
        elif value is not None:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            plain = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped)
            lines.append(f'{key} = "{plain}"')
    return ("\n".join(lines) + "\n").encode()


# --------------------------------------------------------------------------- check


def check(lexicon: Lexicon) -> tuple[Issue, ...]:
    """Everything that is wrong with a lexicon or worth a look, the worst first.

    Takes time in proportion to the lexicon.
    """
    issues = list(lexicon.problems)
    for sign in lexicon.signs:
        where = lexicon.places.get(sign.gloss_id, sign.gloss_id)
        if sign.source is None:
            issues.append(problem("K501", where=where, message="the entry has no source"))
        issues += (problem("K504", where=where, message=text) for text in _pairs(sign, lexicon))
        issues += (problem("K506", where=where, message=text) for text in _alphabets(sign))
    issues += _shared(lexicon)
    issues += _kept_apart(lexicon)
    if lexicon.about is None:
        file = f"{lexicon.name}.about.toml"
        message = f"{file} does not exist; nothing states version, date and licence"
        issues.append(
            problem(
                "K505", where=f"{lexicon.name}.csv", message=message,
                hint=f"Write name, version, date and licence into {file}.",
            )
        )  # fmt: skip
    return tuple(sorted(issues, key=_order))


def _order(issue: Issue) -> tuple[int, str, str, int, str]:
    file, _, line = issue.key.rpartition(":")
    number = int(line) if line.isdecimal() else 0
    return _RANK[issue.severity], issue.code, file, number, issue.message


def _pairs(sign: Sign, lexicon: Lexicon) -> Iterator[str]:
    for other in sign.minimal_pairs:
        pair = lexicon.by_id.get(other)
        if pair is not None and sign.gloss_id not in pair.minimal_pairs:
            yield f"minimal_pairs: {other!r} does not name {sign.gloss_id!r} in turn"
    if sign.minimal_pairs and sign.mirror_safe is None:
        yield (
            "mirror_safe is empty; signs of a minimal pair may differ in nothing but the side, "
            "and mirrored be each other"
        )


def _alphabets(sign: Sign) -> Iterator[str]:
    """Spellings with letters of another language; most come from exchanged columns."""
    kk, latin, ru, en = sign.kk or "", sign.kk_latn or "", sign.ru or "", sign.en or ""
    if kk and has_latin(kk) and not has_cyrillic(kk):
        yield f"kk: {kk!r} has no Cyrillic letter"
    if odd := foreign_letters(kk):
        yield f"kk: {kk!r} has {odd[0]!r}, which is not a letter of Kazakh"
    if ru and has_latin(ru) and not has_cyrillic(ru):
        yield f"ru: {ru!r} has no Cyrillic letter"
    if odd := "".join(c for c in fold(ru) if c in _KAZAKH_ONLY) or foreign_letters(ru):
        yield f"ru: {ru!r} has {odd[0]!r}, which is not a letter of Russian"
    for column, text in (("kk_latn", latin), ("en", en)):
        if has_cyrillic(text):
            yield f"{column}: {text!r} has Cyrillic letters"
    if has_cyrillic(kk) and has_latin(latin) and not has_cyrillic(latin):
        expected = {version: to_latin(kk, version=version) for version in ALPHABETS}
        settled = not set(fold(kk)) & set("цчщэёюяъь")
        if settled and fold_latin(latin) not in {fold(text) for text in expected.values()}:
            known = ", ".join(f"{text!r} ({version})" for version, text in expected.items())
            yield f"kk_latn: {latin!r} is not {kk!r} in any Latin alphabet: {known}"


def _shared(lexicon: Lexicon) -> Iterator[Issue]:
    """Homographs of several languages, and translations that entries share."""
    owners: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for sign in lexicon.signs:
        for column in _SPELLINGS:
            if word := getattr(sign, column):
                owners[word].append((column, sign.gloss_id))
    for word, found in owners.items():
        ids = dict.fromkeys(gloss_id for _, gloss_id in found)
        # Kazakh spellings that entries share are a collision (K305).
        if len(ids) > 1 and {column for column, _ in found} & {"ru", "en"}:
            if _one_family(ids, lexicon):
                continue
            named = [
                f"{_LANGUAGE[column]} of {gloss_id!r} ({lexicon.places.get(gloss_id, '-')})"
                for column, gloss_id in found[:_SHOWN]
            ]
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            where = lexicon.places.get(found[0][1], found[0][1])
            message = f"{word!r} is {', '.join(named)}{more}"
            yield problem("K503", where=where, message=message)


def _one_family(ids: Iterable[str], lexicon: Lexicon) -> bool:
    """Are they variants or synonyms of one entry (or of each other)?"""
    families = [lexicon.by_id[gloss_id].family for gloss_id in ids]
    return bool(frozenset.intersection(*families))


def _kept_apart(lexicon: Lexicon) -> Iterator[Issue]:
    """Spellings of different entries that would be one if they were folded."""
    words: dict[str, list[str]] = defaultdict(list)
    for sign in lexicon.signs:
        for word in (sign.kk, sign.ru, sign.en, *sign.aliases):
            if word and sign.gloss_id not in words[word]:
                words[word].append(sign.gloss_id)
    reported: set[tuple[str, ...]] = set()
    levels: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("letter case, spaces or hyphens", fold),
        ("ё and е", lambda word: fold_yo(fold(word))),
        ("letters that have one ASCII form", ascii_form),
    )
    for level, folded in levels:
        groups: dict[str, list[str]] = defaultdict(list)
        for word in words:
            groups[folded(word)].append(word)
        for form, same in groups.items():
            ids = tuple(sorted({gloss_id for word in same for gloss_id in words[word]}))
            if not form or len(same) < 2 or len(ids) < 2 or ids in reported:
                continue
            reported.add(ids)
            if _one_family(ids, lexicon):
                continue
            named = [
                f"{word!r} of {words[word][0]!r} ({lexicon.places.get(words[word][0], '-')})"
                for word in same[:_SHOWN]
            ]
            more = f" and {len(same) - _SHOWN} more" if len(same) > _SHOWN else ""
            where = lexicon.places.get(words[same[0]][0], words[same[0]][0])
            message = f"{', '.join(named)}{more} differ only in {level}"
            yield problem("K502", where=where, message=message)


# --------------------------------------------------------------------------- diff


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two lexicons."""

    kind: str
    """``about``, ``added``, ``removed``, ``renamed`` or ``changed``."""
    gloss_id: str
    """In the new lexicon; in the old one where the entry was removed. Empty for ``about``."""
    column: str | None = None
    """The cell that changed, or the key that did."""
    old: str | None = None
    new: str | None = None


def diff(old: Lexicon, *, new: Lexicon) -> tuple[Change, ...]:
    """What changed from one lexicon to another: about, removed, added, renamed, changed cells.

    An entry is renamed where one that is gone and one that is new have the same Kazakh and
    Russian words, and no other entry that is gone or new has them; of those that are left, where
    they have the same word in the first language (Kazakh, Kazakh in Latin letters, Russian,
    English) in which both have one, and no others have it.
    """
    gone = [s for s in old.signs if s.gloss_id not in new.by_id]
    come = [s for s in new.signs if s.gloss_id not in old.by_id]
    renamed = _renamed(gone, come)
    changes = _about_changes(old.about, new.about)
    changes += [
        Change(kind="removed", gloss_id=s.gloss_id, old=_shown(s))
        for s in sorted(gone, key=lambda s: s.gloss_id)
        if s.gloss_id not in renamed.values()
    ]
    changes += [
        Change(kind="added", gloss_id=s.gloss_id, new=_shown(s))
        for s in sorted(come, key=lambda s: s.gloss_id)
        if s.gloss_id not in renamed
    ]
    changes += [
        Change(kind="renamed", gloss_id=key, column="gloss_id", old=renamed[key], new=key)
        for key in sorted(renamed)
    ]
    for key in sorted(new.by_id):
        base = old.by_id.get(renamed.get(key, key))
        if base is None:
            continue
        cells, others = _cells(base), _cells(new.by_id[key])
        changes += [
            Change(kind="changed", gloss_id=key, column=c, old=cells[c] or None,
                   new=others[c] or None)
            for c in COLUMNS[1:]
            if cells[c] != others[c]
        ]  # fmt: skip
    return tuple(changes)


def _renamed(gone: Iterable[Sign], come: Iterable[Sign]) -> dict[str, str]:
    """New `gloss_id` → old one."""
    renamed: dict[str, str] = {}
    for columns in (("kk", "ru"), *((column,) for column in _SPELLINGS)):
        before = _by_words((s for s in gone if s.gloss_id not in renamed.values()), columns)
        after = _by_words((s for s in come if s.gloss_id not in renamed), columns)
        earlier = _SPELLINGS[: _SPELLINGS.index(columns[0])]
        for words in after.keys() & before.keys():
            was, now = before[words], after[words]
            if not any(getattr(was, name) and getattr(now, name) for name in earlier):
                renamed[now.gloss_id] = was.gloss_id
    return renamed


def _by_words(signs: Iterable[Sign], columns: Sequence[str]) -> dict[tuple[str | None, ...], Sign]:
    """Words of some columns → entry, where only one has them."""
    found: dict[tuple[str | None, ...], list[Sign]] = defaultdict(list)
    for sign in signs:
        words = tuple(getattr(sign, column) for column in columns)
        if any(words):
            found[words].append(sign)
    return {words: same[0] for words, same in found.items() if len(same) == 1}


def _about_changes(old: About | None, new: About | None) -> list[Change]:
    changes = []
    for key in ("name", "version", "date", "licence", "title", "source"):
        was, now = (getattr(about, key, None) for about in (old, new))
        if was != now:
            changes.append(
                Change(
                    kind="about", gloss_id="", column=key,
                    old=None if was is None else str(was), new=None if now is None else str(now),
                )
            )  # fmt: skip
    return changes


def _shown(sign: Sign) -> str | None:
    return sign.kk or sign.kk_latn or sign.ru or sign.en
