"""Word lists of people's own: import from tables and spreadsheets, check, diff, search."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import time
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kslds import lexicon, sheet, wordlist
from kslds.cli import app
from kslds.codes import CODES
from kslds.errors import AnnotationError, MissingFile, UsageError, ValidationFailed
from kslds.schema import Sign

FOLDERS = sorted(p for p in (Path(__file__).parent / "lexicons").iterdir() if p.is_dir())
LIST = "ID;Қазақша;Русский;Примечание\n01;әпке;сестра;x\n02;су;вода;\n"


def text(folder: Path, content: str, *, encoding: str = "utf-8", name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode(encoding))
    return path


def book(folder: Path, *rows: list[object], name: str = "list.xlsx") -> Path:
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    workbook.save(folder / name)
    return folder / name


def problems(error: ValidationFailed) -> list[str]:
    return [f"{issue.code} {issue.message}" for issue in error.issues]


# --------------------------------------------------------------------------- check


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_expected_findings(folder: Path) -> None:
    found = wordlist.check(lexicon.load(folder / "lexicon.csv"))
    lines = [f"{i.severity} {i.code} {i.key}: {i.message} → {i.hint}" for i in found]
    assert lines == (folder / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert folder.name[:4] in {issue.code for issue in found}


def test_every_code_of_lexicon_files_has_a_folder() -> None:
    codes = {code for code in CODES if code.startswith("K5")}
    assert codes <= {folder.name[:4] for folder in FOLDERS}


def test_entries_that_folding_would_merge_stay_apart() -> None:
    read = lexicon.load(Path(__file__).parent / "lexicons" / "K502-kept-apart" / "lexicon.csv")
    for label, gloss_id in [
        ("все", "all"), ("всё", "everything"), ("С", "letter-s"), ("с", "with"),
        ("үн", "voice"), ("ұн", "flour"), ("Е", "letter-ye"), ("Ё", "letter-yo"),
    ]:  # fmt: skip
        assert read.match(label).gloss_id == gloss_id


def test_a_synonym_is_another_sign_and_stays_ambiguous() -> None:
    folder = Path(__file__).parent / "lexicons" / "K305-synonyms-share-their-word"
    match = lexicon.load(folder / "lexicon.csv").match("әке")
    assert (match.how, match.candidates) == ("ambiguous", ("ake", "ake-2", "ake-4"))


def test_the_bundled_lexicon_needs_nothing() -> None:
    read = lexicon.load("nspcrsie")
    assert wordlist.check(read) == ()
    assert read.about is not None
    assert read.about.name == "nspcrsie"


# --------------------------------------------------------------------------- about


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ('nam = "x"', "unknown key 'nam'"),
        ('name = "x"\nversion = "1"\ndate = 2026-01-31', "no key 'licence'"),
        ('name = "x"\nversion = 1\ndate = 2026-01-31\nlicence = "x"', "version = 1: expected text"),
        ('name = "x"\nversion = "1"\ndate = "soon"\nlicence = "x"', "expected a date"),
        ("name = ", "is not TOML"),
    ],
)
def test_what_a_lexicon_states_is_checked(tmp_path: Path, about: str, message: str) -> None:
    path = text(tmp_path, "gloss_id\nsu\n", name="lab.csv")
    text(tmp_path, about, name="lab.about.toml")
    with pytest.raises(AnnotationError, match=message):
        lexicon.load(path)


def test_what_is_stated_is_written_and_read_again(tmp_path: Path) -> None:
    about = wordlist.about_of(
        name="lab", version='1 "beta"\\', date="2026-01-31", licence="CC-BY-4.0"
    )
    signs = wordlist.read_list(text(tmp_path, LIST), source="notes").signs
    out = tmp_path / "lab.csv"
    wordlist.write(out, signs=signs, about=about)
    first = out.read_bytes()
    read = lexicon.load(out)
    assert (read.about, read.signs, read.problems) == (about, signs, ())
    assert first.decode() == ("gloss_id,kk,ru,source\n01,әпке,сестра,notes\n02,су,вода,notes\n")
    wordlist.write(out, signs=signs, about=about)
    with pytest.raises(UsageError, match="exists already"):
        wordlist.write(out, signs=signs[:1], about=about)
    assert out.read_bytes() == first
    wordlist.write(out, signs=signs[:1], about=about, overwrite=True)
    assert len(lexicon.load(out).signs) == 1
    with pytest.raises(UsageError, match="there is no licence"):
        wordlist.about_of(name="lab", version="1", date="2026-01-31", licence=None)
    with pytest.raises(UsageError, match="2026-01-31"):
        wordlist.about_of(name="lab", version="1", date="31.1.2026", licence="x")


# --------------------------------------------------------------------------- import: text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_encodings_and_line_ends(
    tmp_path: Path, encoding: str, mark: str, end: str
) -> None:
    content = LIST.replace(";", mark).replace("\n", end)
    taken = wordlist.read_list(text(tmp_path, content, encoding=encoding), source="notes")
    assert [(s.gloss_id, s.kk, s.ru) for s in taken.signs] == [
        ("01", "әпке", "сестра"), ("02", "су", "вода"),
    ]  # fmt: skip
    assert taken.columns == {"gloss_id": "ID", "kk": "Қазақша", "ru": "Русский"}
    assert taken.assumed == ("gloss_id", "kk", "ru")
    assert taken.unused == ("Примечание",)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = text(tmp_path, "Русский;ID\nсестра;1\n", encoding="cp1251")
    with pytest.raises(AnnotationError, match="CP1251"):
        wordlist.read_list(path)


def test_declared_columns_win_over_known_headings(tmp_path: Path) -> None:
    path = text(tmp_path, "Сөз,Қазақша,id\nсу,бұлақ,1\n")
    taken = wordlist.read_list(path, columns={"kk": "Сөз"}, source="notes")
    assert taken.signs[0].kk == "су"
    assert (taken.assumed, taken.unused) == (("gloss_id",), ("Қазақша",))


def test_keys_are_made_of_words_where_there_are_none(tmp_path: Path) -> None:
    taken = wordlist.read_list(text(tmp_path, "қазақша\nсау бол\nәпке\n"), source="notes")
    assert [s.gloss_id for s in taken.signs] == ["apke", "sau_bol"]
    with pytest.raises(ValidationFailed) as raised:
        wordlist.read_list(text(tmp_path, "қазақша\nүн\nұн\n"), source="notes")
    assert problems(raised.value) == [
        "K305 list.csv:3: gloss_id 'un' is already that of list.csv:2"
    ]
    assert "a column gloss_id, whose other cells may be empty" in (
        raised.value.issues[0].hint or ""
    )
    given = text(tmp_path, "қазақша,gloss_id\nүн,\nұн,un_flour\nсу,\n")
    taken = wordlist.read_list(given, source="notes")
    assert [(s.gloss_id, s.kk) for s in taken.signs] == [("su", "су"), ("un", "үн"),
                                                         ("un_flour", "ұн")]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("a,b\n1,2\n", {}, "row 1 has no heading for any of gloss_id, kk, kk_latn, ru, en"),
        ("Қазақша,kk\nсу,су\n", {}, "several headings for 'kk': 'Қазақша', 'kk'"),
        ("Қазақша\nсу\n", {"ru": "Орысша"}, "no heading 'Орысша'; it has 'Қазақша'"),
        ("", {}, "is empty"),
        ('kk\n"су\n', {}, "quotation mark"),
    ],
)
def test_a_list_that_cannot_be_read(
    tmp_path: Path, content: str, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(AnnotationError, match=message):
        wordlist.read_list(text(tmp_path, content), columns=columns)


def test_a_list_without_a_heading_is_told_to_have_one(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError) as raised:
        wordlist.read_list(text(tmp_path, "әке;отец\nана;мать\n"))
    assert "it has 'әке', 'отец'" in str(raised.value)
    assert "If this row is a sign, write a heading line above it" in str(raised.value.hint)


def test_wrong_use(tmp_path: Path) -> None:
    path = text(tmp_path, LIST)
    with pytest.raises(UsageError, match="no column 'kazak'"):
        wordlist.read_list(path, columns={"kazak": "Қазақша"})
    with pytest.raises(UsageError, match="has no sheets"):
        wordlist.read_list(path, sheet="Лист1")
    with pytest.raises(MissingFile):
        wordlist.read_list(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="does not end in"):
        wordlist.write(tmp_path / "lab.xlsx", signs=(), about=None)


def test_all_bad_rows_are_named_at_once(tmp_path: Path) -> None:
    rows = [
        "id,kk,ru,mirror_safe,source",
        "su,су,вода,да,notes",
        "Су,су,вода,,notes",
        "apke,aпке,сестра,perhaps,notes",
        "ana,ана,мать,,",
        "su,тау,гора,,notes",
        "too,тау,гора,,notes,more",
    ]
    with pytest.raises(ValidationFailed, match="nothing was imported") as raised:
        wordlist.read_list(text(tmp_path, "\n".join(rows)))
    assert sorted(problems(raised.value)) == [
        "K305 list.csv:6: gloss_id 'su' is already that of list.csv:2",
        "K306 list.csv:3: gloss_id: 'Су' is not made of a-z, 0-9, _ and - alone",
        "K306 list.csv:4: kk: 'aпке' mixes Cyrillic and Latin letters",
        "K306 list.csv:4: mirror_safe: 'perhaps' is not true or false, or empty",
        "K306 list.csv:7: 6 cells where the heading has 5",
        "K501 list.csv:5: the entry has no source",
    ]
    taken = wordlist.read_list(text(tmp_path, "\n".join(rows[:2])))
    assert taken.signs[0].mirror_safe is True
    assert taken.signs[0].source == "notes"


# --------------------------------------------------------------------------- import: sheets


def test_a_workbook(tmp_path: Path) -> None:
    path = book(
        tmp_path,
        ["ID", "Қазақша", "num_hands", "mirror_safe", "Источник"],
        ["01", "әпке", 2, True, "notes"],
        [],
        ["02", "су", 1.0, None, "notes"],
    )
    taken = wordlist.read_list(path)
    assert [(s.gloss_id, s.kk, s.num_hands, s.mirror_safe) for s in taken.signs] == [
        ("01", "әпке", 2, True), ("02", "су", 1, None),
    ]  # fmt: skip
    assert [row.number for row in sheet.read(path).rows] == [1, 2, 4]


def test_the_content_decides_whatever_a_file_is_called(tmp_path: Path) -> None:
    path = book(tmp_path, ["id", "kk"], ["su", "су"], name="list.csv")
    assert wordlist.read_list(path, source="notes").signs[0].kk == "су"
    with pytest.raises(AnnotationError, match="is a spreadsheet; expected UTF-8 CSV"):
        lexicon.load(path)
    path = text(tmp_path, LIST, name="list.xlsx")
    assert len(wordlist.read_list(path, source="notes").signs) == 2
    path = tmp_path / "old.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
    with pytest.raises(AnnotationError, match="old Excel file"):
        wordlist.read_list(path)


def test_several_sheets(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.title = "Тізім"
    workbook.active.append(["kk"])
    workbook.active.append(["су"])
    workbook.create_sheet("Басқа").append(["kk"])
    workbook.save(tmp_path / "list.xlsx")
    with pytest.raises(AnnotationError, match="2 sheets: 'Тізім', 'Басқа'"):
        wordlist.read_list(tmp_path / "list.xlsx")
    with pytest.raises(AnnotationError, match="no sheet 'Лист1'; it has 'Тізім', 'Басқа'"):
        wordlist.read_list(tmp_path / "list.xlsx", sheet="Лист1")
    taken = wordlist.read_list(tmp_path / "list.xlsx", sheet="Тізім", source="notes")
    assert [s.kk for s in taken.signs] == ["су"]


def test_cells_whose_text_is_not_certain_are_refused(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    page = workbook.active
    page.append(["id", "kk", "category", "note"])
    page.append([7, "су", "=A2", "=A2"])
    page["A2"].number_format = "000"
    page.append(["b", date(2026, 2, 1), "x"])
    page.append(["c", "тау", "nature"])
    page.append(["d", "көл", None])
    page.append(["e", "#N/A", datetime(2026, 2, 1, 12, 30)])
    page.merge_cells("C4:C5")
    page["C6"].number_format = 'yyyy"ж."'
    workbook.save(tmp_path / "list.xlsx")
    with pytest.raises(ValidationFailed) as raised:
        wordlist.read_list(tmp_path / "list.xlsx", source="notes")
    found = problems(raised.value)
    assert [line.split("; expected")[0] for line in found] == [
        "K306 list.xlsx:2: column A ('id') is stored as the number 7 and shown otherwise, by the "
        "format '000'",
        "K306 list.xlsx:2: column C ('category') is a formula",
        "K306 list.xlsx:3: column B ('kk') is a date (2026-02-01)",
        "K306 list.xlsx:4: column C ('category') is merged (C4:C5)",
        "K306 list.xlsx:6: column B ('kk') holds the error #N/A",
        "K306 list.xlsx:6: column C ('category') is a date (2026-02-01 12:30:00)",
    ]


@pytest.mark.parametrize(
    ("value", "shown", "text"),
    [
        (7, '"00"0', None), (7, '"id-"0', None), (0.5, "0%", None), (7, "0.00", None),
        (7, "#,##0", None), (1.5, "0", None), (7, "General", "7"), (7, "0", "7"), (7, "@", "7"),
        (1.5, "General", "1.5"), ("007", '"00"0', "007"),
    ],
)  # fmt: skip
def test_a_number_that_is_shown_as_something_else(
    tmp_path: Path, value: object, shown: str, text: str | None
) -> None:
    workbook = openpyxl.Workbook()
    page = workbook.active
    page.append(["id", "kk"])
    page.append([value, "су"])
    page["A2"].number_format = shown
    workbook.save(tmp_path / "list.xlsx")
    row = sheet.read(tmp_path / "list.xlsx").rows[1]
    if text is not None:
        assert (row.cells[0], row.wrong) == (text, [])
    else:
        (why,) = row.wrong
        assert why[1].startswith(f"is stored as the number {value} and shown otherwise, by the ")
        assert f"format {shown!r}" in why[1]


def test_hidden_rows_are_refused(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    for row in (["id", "kk"], ["su", "су"], ["tau", "тау"]):
        workbook.active.append(row)
    workbook.active.row_dimensions[3].hidden = True
    workbook.save(tmp_path / "list.xlsx")
    with pytest.raises(ValidationFailed) as raised:
        wordlist.read_list(tmp_path / "list.xlsx", source="notes")
    assert problems(raised.value) == [
        "K306 list.xlsx:3: the row is hidden; show it (take away the filter) or delete it"
    ]


def test_columns_that_go_nowhere_are_told_with_or_without_a_heading(tmp_path: Path) -> None:
    path = book(tmp_path, ["kk", None, None, "note", "ru"], ["су", None, "x", None, "вода"])
    taken = wordlist.read_list(path, source="notes")
    assert taken.unused == ("column C, which has no heading", "note")
    assert [(sign.kk, sign.ru) for sign in taken.signs] == [("су", "вода")]


def test_what_a_spreadsheet_hides_is_told(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    page = workbook.active
    page.title = "Тізім"
    for row in (["id", "kk", "ru", "phone", "gap"], ["su", "су", "вода", "1", None]):
        page.append(row)
    page.column_dimensions.group("C", "D", hidden=True)
    page.column_dimensions["F"].hidden = True  # empty
    other = workbook.create_sheet("Ескі")
    other.append(["kk"])
    other.sheet_state = "veryHidden"
    path, out = tmp_path / "list.xlsx", tmp_path / "lab.csv"
    workbook.save(path)
    with pytest.raises(AnnotationError, match=r"2 sheets: 'Тізім', 'Ескі' \(hidden\)"):
        wordlist.read_list(path)
    taken = wordlist.read_list(path, sheet="Тізім", source="notes")
    assert taken.hidden == (
        "hidden sheets, not read: 'Ескі'",
        "the column C ('ru') is hidden; it was read as ru",
        "the column D ('phone') is hidden; it was not read",
    )
    words = ("--out", out, "--source", "notes", "--sheet", "Тізім", "--format", "json")
    code, data, talk = run("import", path, *words)
    assert code == 0, talk
    assert json.loads(data)["hidden"] == list(taken.hidden)
    assert "note: the column C ('ru') is hidden; it was read as ru" in talk
    page.sheet_state = "hidden"
    other.sheet_state = "visible"
    workbook.save(path)
    taken = wordlist.read_list(path, sheet="Тізім", source="notes")
    assert taken.hidden[0] == "the sheet 'Тізім' is hidden; it was read"
    assert wordlist.read_list(text(tmp_path, LIST), source="notes").hidden == ()


def test_a_list_without_rows_is_no_lexicon(tmp_path: Path) -> None:
    for path in (book(tmp_path, ["id", "kk"]), text(tmp_path, "id,kk\n")):
        with pytest.raises(AnnotationError, match="a heading line and no rows"):
            wordlist.read_list(path, source="notes")


MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
ENTITY = '<!DOCTYPE s [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>'
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    f'<Override PartName="/xl/workbook.xml" ContentType="{TYPES}.sheet.main+xml"/></Types>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="s" Type="{LINKS}/worksheet" Target="/s.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook {MAIN} xmlns:r="{LINKS}"><sheets><sheet name="S" sheetId="1" r:id="s"/></sheets></workbook>',
    "s.xml": f"<worksheet {MAIN}><sheetData><row><c t='inlineStr'><is><r><t>k</t></r><r><t>k_x000D_</t></r><rPh sb='0' eb='1'><t>x</t></rPh></is></c></row><row><c t='str'><v>су</v></c></row></sheetData></worksheet>",
}


def rows_of(content: str, *, after: str = "") -> str:
    return f"<worksheet {MAIN}><sheetData>{content}</sheetData>{after}</worksheet>"


def by_hand(folder: Path, **changes: str) -> Path:
    path = folder / "list.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (PARTS | {"s.xml": changes.get("sheet", PARTS["s.xml"])}).items():
            archive.writestr(name, content)
        for name, content in changes.items():
            if name != "sheet":
                archive.writestr(name, content)
    return path


def test_cells_without_addresses_and_rich_text(tmp_path: Path) -> None:
    assert [row.cells for row in sheet.read(by_hand(tmp_path)).rows] == [["kk\r"], ["су"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ENTITY + rows_of("<row><c t='str'><v>&c;</v></c></row>"), "declares a document type"),
        ("<!DOCTYPE s>" + rows_of(""), "its part 's.xml' declares a document type"),
        (f"<worksheet {MAIN}><sheetData><row>", "not a readable XLSX"),
        (rows_of("<row r='5'/><row r='5'/>"), "row 5 follows row 5"),
        (rows_of("<row r='99999999'/>"), "row 99999999"),
        (rows_of("<row><c t='s'><v>5</v></c></row>"), "not a readable XLSX"),
        (rows_of("<row><c><v>x</v></c></row>"), "not a readable XLSX"),
        (rows_of("<row><c r='ZZZ1'><v>1</v></c></row>"), "more than 256 columns"),
    ],
)
def test_a_hostile_sheet(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        sheet.read(by_hand(tmp_path, sheet=content))


@pytest.mark.parametrize("size", [sheet.MAX_UNPACKED + 1, 3 * 2**20])
def test_an_archive_that_would_unpack_to_too_much_is_not_unpacked(
    tmp_path: Path, size: int
) -> None:
    path = by_hand(tmp_path, bomb="0" * size)
    assert path.stat().st_size < 1_000_000
    began = time.monotonic()
    with pytest.raises(AnnotationError, match="would unpack to"):
        sheet.read(path)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("name", ["xl/styles.xml", "xl/workbook.xml", "[Content_Types].xml"])
def test_entities_are_refused_in_every_part(tmp_path: Path, name: str) -> None:
    whole = book(tmp_path, ["id", "kk"])
    path = tmp_path / "entities.xlsx"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for part in old.namelist():
            new.writestr(part, (ENTITY.encode() if part == name else b"") + old.read(part))
    with pytest.raises(AnnotationError, match="declares a document type"):
        sheet.read(path)


def test_a_few_bytes_that_stand_for_billions_of_cells(tmp_path: Path) -> None:
    every = "A1:XFD1048576"
    after = (
        f"<mergeCells><mergeCell ref='{every}'/></mergeCells>"
        f"<hyperlinks><hyperlink ref='{every}' display='x'/></hyperlinks>"
    )
    content = rows_of("<row><c t='str'><v>kk</v></c></row>", after=after)
    content = content.replace("<sheetData>", f"<dimension ref='{every}'/><sheetData>")
    began = time.monotonic()
    (row,) = sheet.read(by_hand(tmp_path, sheet=content)).rows
    assert time.monotonic() - began < 1
    assert row.cells == ["kk"]
    assert len(row.wrong) == sheet.MAX_COLUMNS
    assert row.wrong[1] == (1, f"is merged ({every}); expected every cell to hold its own text")


def test_built_in_dates_of_east_asia(tmp_path: Path) -> None:
    path = by_hand(
        tmp_path,
        sheet=rows_of("<row><c s='1'><v>46054</v></c></row>"),
        **{
            "xl/styles.xml": f"<styleSheet {MAIN}><cellXfs><xf/><xf numFmtId='31'/></cellXfs></styleSheet>"
        },
    )
    assert "is a date (46054)" in sheet.read(path).rows[0].wrong[0][1]


def test_an_edition_that_is_not_understood_is_not_empty(tmp_path: Path) -> None:
    whole = book(tmp_path, ["id", "kk"])
    path = tmp_path / "strict.xlsx"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for part in old.namelist():
            data = old.read(part)
            for kind in (b"spreadsheetml", b"officeDocument"):
                start = b"http://schemas.openxmlformats.org/" + kind + b"/2006/"
                data = data.replace(start, b"http://purl.oclc.org/ooxml/" + kind + b"/")
            new.writestr(part, data)
    with pytest.raises(AnnotationError, match="not Strict Open XML"):
        sheet.read(path)


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.xml", "<office/>")
    with pytest.raises(AnnotationError, match="so no XLSX workbook"):
        sheet.read(path)


@settings(deadline=None, max_examples=60)
@given(st.integers(min_value=0), st.integers(0, 255), st.integers(min_value=0))
def test_a_damaged_workbook_is_an_error_and_never_a_crash(place: int, byte: int, cut: int) -> None:
    data = bytearray(DAMAGED.read_bytes())
    data[place % len(data)] = byte
    if cut % 3 == 0:
        del data[cut % len(data) :]
    path = DAMAGED.with_name("damaged.xlsx")
    path.write_bytes(data)
    with contextlib.suppress(AnnotationError):
        assert all(row.number > 0 for row in sheet.read(path).rows)


@pytest.fixture(scope="module", autouse=True)
def _whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    global DAMAGED
    DAMAGED = book(tmp_path_factory.mktemp("whole"), ["id", "kk"], ["su", "су"], ["too", "тау"])


DAMAGED = Path()


# --------------------------------------------------------------------------- diff


def test_what_changed(tmp_path: Path) -> None:
    old = text(
        tmp_path,
        "gloss_id,kk,ru,source,aliases\nsu,су,вода,a,\ntau,тау,гора,a,\nkol,көл,озеро,a,\n",
        name="old.csv",
    )
    new = text(
        tmp_path,
        "gloss_id,kk,ru,source,aliases\nsu,су,вода,b,suw;Су!\ntoo,тау,гора,a,\nozen,өзен,река,a,\n",
        name="new.csv",
    )
    text(
        tmp_path,
        'name = "new"\nversion = "2"\ndate = 2026-01-31\nlicence = "x"\n',
        name="new.about.toml",
    )
    found = wordlist.diff(lexicon.load(old), new=lexicon.load(new))
    assert [(c.kind, c.gloss_id, c.column, c.old, c.new) for c in found] == [
        ("about", "", "name", None, "new"),
        ("about", "", "version", None, "2"),
        ("about", "", "date", None, "2026-01-31"),
        ("about", "", "licence", None, "x"),
        ("removed", "kol", None, "көл", None),
        ("added", "ozen", None, None, "өзен"),
        ("renamed", "too", "gloss_id", "tau", "too"),
        ("changed", "su", "aliases", None, "suw;Су!"),
        ("changed", "su", "source", "a", "b"),
    ]
    assert wordlist.diff(lexicon.load(old), new=lexicon.load(old)) == ()


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("a,су,вода,", "b,су,вадa,", ["renamed", "changed"]),  # a translation was corrected
        ("a,,,water", "b,,,water", ["renamed"]),
        ("a,су,,water", "b,,вода,water", ["renamed", "changed", "changed"]),
        ("a,су,вода,water", "b,өзен,река,water", ["removed", "added"]),
        ("a,су,,x\nc,су2,,x", "b,,,x", ["removed", "removed", "added"]),
    ],
)
def test_what_was_renamed(tmp_path: Path, old: str, new: str, kinds: list[str]) -> None:
    files = [text(tmp_path, f"gloss_id,kk,ru,en\n{rows}\n", name=name)
             for rows, name in ((old, "o.csv"), (new, "n.csv"))]  # fmt: skip
    found = wordlist.diff(lexicon.load(files[0]), new=lexicon.load(files[1]))
    assert [change.kind for change in found] == kinds


# --------------------------------------------------------------------------- formulas

EVIL = ("=1+1", "+cmd|' /C calc'!A0", "@x", "-мен", "'=1", "''@y", "су;=1+1", "＝1", "a-b", "'su'")


@pytest.mark.parametrize("word", EVIL)
def test_no_cell_of_a_lexicon_is_a_formula_and_it_is_read_back(tmp_path: Path, word: str) -> None:
    sign = Sign(gloss_id="su", ru=word, aliases=[w for w in word.split(";") if w != "су"] or ["-x"],
                category=word, source=word)  # fmt: skip
    out = tmp_path / "lab.csv"
    wordlist.write(out, signs=[sign], about=None)
    assert lexicon.load(out).signs == (sign,)
    assert wordlist.read_list(out).signs == (sign,)
    wordlist.write(tmp_path / "again.csv", signs=lexicon.load(out).signs, about=None)
    assert (tmp_path / "again.csv").read_bytes() == out.read_bytes()
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(out.read_text("utf-8")), delimiter=separator):
            assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "＝"))]


def test_a_list_with_formulas_in_its_text_becomes_one_without(tmp_path: Path) -> None:
    path, out = text(tmp_path, "id,kk\na,=1+1\nb,@x\n"), tmp_path / "lab.csv"
    code, _, talk = run("import", path, "--out", out, "--source", "-notes")
    assert code == 0, talk
    lines = out.read_text("utf-8").splitlines()
    assert lines == ["gloss_id,kk,ru,source", "a,'=1+1,,'-notes", "b,'@x,,'-notes"]
    assert run("search", "@x", "--lexicon", out, "--format", "json")[0] == 0
    assert run("diff", path_with_sources(tmp_path), out, "--exit-code")[0] == 0


def path_with_sources(folder: Path) -> Path:
    return text(folder, "gloss_id,kk,source\na,=1+1,-notes\nb,@x,-notes\n", name="plain.csv")


# --------------------------------------------------------------------------- commands


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["lexicon", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_a_list_becomes_a_lexicon_and_is_found(tmp_path: Path) -> None:
    path, out = text(tmp_path, LIST), tmp_path / "lab.csv"
    code, _, talk = run("import", path, "--out", out)
    assert code == 1
    assert "the entry has no source" in talk
    assert "--source" in talk
    assert not out.exists()
    stated = ("--version", "1", "--date", "2026-01-31", "--licence", "CC0-1.0")
    code, data, talk = run(
        "import", path, "--out", out, "--source", "notes", *stated, "--format", "json"
    )
    assert code == 0, talk
    assert json.loads(data)["entries"] == 2
    assert "assumed: kk is the column 'Қазақша'" in talk
    assert "not used: 'Примечание'" in talk
    code, data, talk = run("check", out, "--format", "json")
    assert (code, json.loads(data)) == (0, [])
    assert "lab, version 1 of 2026-01-31: 2 entries, 0 errors." in talk
    code, data, _ = run("search", "a'pke", "--lexicon", out, "--format", "json")
    found = json.loads(data)
    assert (code, found["gloss_id"], found["how"]) == (0, "01", "latin_old")
    assert run("diff", out, out, "--exit-code")[0] == 0
    assert run("diff", out, "nspcrsie")[0] == 0
    assert run("diff", out, "nspcrsie", "--exit-code")[0] == 1


def test_check_exits_1_for_errors_only(tmp_path: Path) -> None:
    assert run("check", text(tmp_path, "gloss_id\nsu\n"))[0] == 0
    code, data, _ = run("check", text(tmp_path, "gloss_id\nSu\n"))
    assert code == 1
    assert "list.csv:2" in data


def test_search_by_beginning_likeness_and_category() -> None:
    code, data, _ = run("search", "сәл", "--format", "json")
    found = json.loads(data)
    assert (code, found["gloss_id"], found["entries"][0]["how"]) == (1, None, "prefix")
    assert found["entries"][0]["gloss_id"] == "salem"
    code, data, _ = run("search", "--category", "FOOD", "--format", "json")
    assert (code, [e["gloss_id"] for e in json.loads(data)["entries"]]) == (0, ["kofe", "su"])
    assert run("search", "су", "--category", "food")[0] == 0
    assert "'aпке' mixes Cyrillic and Latin letters" in run("search", "aпке")[2]
    assert "mixes" not in run("search", "апке")[2]
    assert run("search", "ата", "--category", "food")[0] == 1
    assert run("search", "--category", "nosuch")[0] == 1
    assert run("search")[0] == 2
    assert run("import", "x.csv", "--out", "y.csv", "--column", "kk")[0] == 2


# --------------------------------------------------------------------------- scale


def test_unknown_labels_are_cheap_in_a_large_lexicon(tmp_path: Path) -> None:
    letters = "абвгдежзиклмнопрстуфхшы"
    words = [a + b + c + d for a in letters for b in "аеоы" for c in letters for d in "аеоуы"]
    rows = "\n".join(f"w{n},{word}" for n, word in enumerate(words))
    read = lexicon.load(text(tmp_path, f"gloss_id,kk\n{rows}\n"))
    assert len(read.signs) > 10_000
    read.nearest("сола")
    began = time.monotonic()
    for word in words[:50]:
        assert read.nearest(f"{word}ққ")[0] == f"w{words.index(word)}"
    assert time.monotonic() - began < 5
