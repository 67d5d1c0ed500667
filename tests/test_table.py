import csv
import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kslds.corpora import Annotation, Source, adapter
from kslds.corpora.table import read, read_cells, read_rows
from kslds.errors import AnnotationError, MissingFile, RecipeError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")
HEADER = "recording,gloss,start,end\n"


def rows(
    folder: Path,
    text: str | bytes,
    *,
    name: str = "a.csv",
    columns: dict[str, str] | None = None,
    unit: str = "ms",
) -> list[Annotation]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read(Source(files=(path,), columns=columns or {}, unit=unit)))


def failure(folder: Path, text: str | bytes, **keywords: object) -> str:
    with pytest.raises(AnnotationError) as error:
        rows(folder, text, **keywords)  # type: ignore[arg-type]
    return str(error.value)


def test_every_field_is_read(tmp_path: Path) -> None:
    text = (
        "recording,gloss,start,end,unit,signer,emotion,sentence,translation,tier,annotator,session\n"
        "v.mp4,мысық,0.5,1.5,s,s1,happy,МЫСЫҚ БАР,a cat,hands,nn,day1\n"
    )
    assert rows(tmp_path, text) == [
        Annotation(
            source="a.csv:2",
            recording="v.mp4",
            start="0.5",
            end="1.5",
            unit="s",
            label="мысық",
            emotion="happy",
            sentence="МЫСЫҚ БАР",
            translation="a cat",
            signer="s1",
            session="day1",
            tier="hands",
            annotator="nn",
        )
    ]


def test_columns_are_mapped_and_named_in_the_annotation(tmp_path: Path) -> None:
    text = "Файл\tЖест\tНачало, мс\tКонец, мс\tgloss\nv.mp4\tкөл\t1\t2\tunused\n"
    columns = {
        "recording": "Файл",
        "gloss": "Жест",
        "start": "Начало, мс",
        "end": "Конец, мс",
    }
    (row,) = rows(tmp_path, text, name="a.tsv", columns=columns)
    assert (row.label, row.start, row.end) == ("көл", "1", "2")
    assert (row.start_column, row.end_column) == ("Начало, мс", "Конец, мс")
    assert row.source == "a.tsv:2"


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(tmp_path: Path, mark: str) -> None:
    others = "".join(other for other in ",;\t|" if other != mark)
    text = (
        mark.join(["recording", f'"no{others}te{others}"', "gloss", "start", "end"])
        + "\n"
        + mark.join(["v.mp4", "", f"a{others}b", "1", "2"])
        + "\n"
    )
    (row,) = rows(tmp_path, text)
    assert (row.recording, row.label, row.start, row.end) == ("v.mp4", f"a{others}b", "1", "2")


def test_known_columns_decide_between_delimiters(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "recording,gloss,start,end,a;b;c;d;e;f;g\nv,x,1,2,3\n")
    assert (row.recording, row.end) == ("v", "2")


def test_a_blank_before_a_quoted_cell_does_not_matter(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, 'recording, "gloss", start, end\nv, "a, b", 1, 2\n')
    assert (row.label, row.end) == ("a, b", "2")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    text = HEADER + "v.mp4,қой,1,2\n\nw.mp4,ит,3,4"
    found = rows(tmp_path, text.replace("\n", end).encode(encoding))
    assert [(r.source, r.recording, r.label) for r in found] == [
        ("a.csv:2", "v.mp4", "қой"),
        ("a.csv:4", "w.mp4", "ит"),
    ]


def test_utf_16_big_endian(tmp_path: Path) -> None:
    text = "\ufeff" + HEADER + "v.mp4,қой,1,2\n"
    assert rows(tmp_path, text.encode("utf-16-be"))[0].label == "қой"


def test_text_is_nfc_and_stripped(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "й")
    text = f"recording,{decomposed},start,end\n v.mp4 ,  {decomposed} ,1 , 2\n"
    (row,) = rows(tmp_path, text, columns={"gloss": "й"})
    assert row == Annotation(
        source="a.csv:2", recording="v.mp4 ", start="1", end="2", unit="ms", label="й"
    )


def test_source_is_the_line_on_which_the_row_starts(tmp_path: Path) -> None:
    text = "\n\n" + HEADER + 'v.mp4,"two\nlines, quoted",1,2\n\n,,,\nv.mp4,"say ""a""",3,4\n'
    found = rows(tmp_path, text)
    assert [(r.source, r.label) for r in found] == [
        ("a.csv:4", "two\nlines, quoted"),
        ("a.csv:8", 'say "a"'),
    ]


def test_files_follow_one_another(tmp_path: Path) -> None:
    for name, text in [
        ("a.csv", HEADER + "v,x,1,2\n"),
        ("b.csv", HEADER.replace(",", ";") + "w;y;1;2"),
    ]:
        (tmp_path / name).write_text(text)
    source = Source(files=(tmp_path / "a.csv", tmp_path / "b.csv"))
    assert [row.source for row in adapter("table")(source)] == ["a.csv:2", "b.csv:2"]


def test_a_header_without_rows_has_no_annotations(tmp_path: Path) -> None:
    assert rows(tmp_path, HEADER) == []


def test_missing_cells_are_empty_and_a_row_with_more_is_dropped(tmp_path: Path) -> None:
    header = "recording,gloss,start,end,emotion,signer\n"
    (row,) = rows(tmp_path, header + "v,x,1,2\n")
    assert (row.emotion, row.signer, row.problem) == (None, None, None)
    good, bad, last = rows(tmp_path, HEADER + "v,x,1,2\nv,x,y,1,2\nw,x,1,2\n")
    assert (good.problem, last.problem) == (None, None)
    assert bad.source == "a.csv:3"
    assert bad.problem is not None
    assert bad.problem[0] == "K124"
    assert bad.problem[1].startswith("5 cells, but the header has 4; put quotation marks")


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("ms", "ms"), ("MSEC", "ms"), ("Milliseconds", "ms"), ("s", "s"), ("sec", "s"),
        ("seconds", "s"), ("frame", "frame"), ("Frames", "frame"), ("timecode", "timecode"),
        ("HH:MM:SS", "timecode"), ("hh:mm:ss.mmm", "timecode"), ("", "frame"),
        ("мс", "ms"), ("Сек", "s"), ("с", "s"), ("кадры", "frame"),
    ],
)  # fmt: skip
def test_units_and_their_synonyms(tmp_path: Path, written: str, unit: str) -> None:
    text = f"recording,gloss,start,end,unit\nv,x,1,2,{written}\n"
    (row,) = rows(tmp_path, text, unit="frame")
    assert (row.unit, row.problem) == (unit, None)


def test_an_unknown_unit_is_a_problem_of_its_row(tmp_path: Path) -> None:
    text = "recording,gloss,start,end,u\nv,x,1,2,xs\nv,x,1,2,s\n"
    bad, good = rows(tmp_path, text, columns={"unit": "u"})
    assert bad.problem == (
        "K111",
        "column 'u': 'xs' is not one of ms, s, frame, timecode",
    )
    assert bad.unit == "ms"
    assert good.problem is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("v,x,,2", ("K111", "column 'from': is empty; expected a time in s")),
        ("v,x,1", ("K111", "column 'to': is empty; expected a time in s")),
        (" ,x,1,2", ("K103", "column 'recording': is empty; expected the file name of a recording")),
    ],
)  # fmt: skip
def test_empty_required_cells_are_problems(
    tmp_path: Path, row: str, problem: tuple[str, str]
) -> None:
    text = f"recording,gloss,from,to\n{row}\n"
    (found,) = rows(tmp_path, text, columns={"start": "from", "end": "to"}, unit="s")
    assert found.problem == problem


def test_a_missing_column_is_named_with_the_columns_there_are(tmp_path: Path) -> None:
    message = failure(tmp_path, "recording,gloss,Start,stop\n")
    assert (
        "a.csv has no column 'start', 'end' on line 1; it has 'recording', 'gloss', 'Start', 'stop'."
        in message
    )
    assert 'columns = { start = "Start", end = "…" }' in message


def test_a_title_above_the_header_is_told(tmp_path: Path) -> None:
    for blanks in (";;;", ""):
        title = f"Signs of our lab{blanks}\n"
        message = failure(tmp_path, title + "recording;gloss;start;end\nv;x;1;2\n")
        assert "it has 'Signs of our lab'" in message
        assert message.endswith("The first line has to name the columns: delete what is above it.")


def test_a_near_name_is_suggested(tmp_path: Path) -> None:
    columns = {"gloss": "labels", "signer": "Signers"}
    message = failure(tmp_path, "recording,label,start,end,signer\n", columns=columns)
    assert "has no column 'labels', 'Signers'" in message
    assert message.endswith('Did you mean columns = { gloss = "label", signer = "signer" }?')


def test_either_gloss_or_sentence_is_enough(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "recording,sentence,start,end\nv,МЕН БАР,1,2\n")
    assert (row.label, row.sentence) == (None, "МЕН БАР")
    message = failure(tmp_path, "recording,start,end\nv,1,2\n")
    assert "no column 'gloss'" in message
    assert "sentence would do" in message


def test_a_long_header_is_cut_in_the_message(tmp_path: Path) -> None:
    message = failure(tmp_path, ",".join(f"column{i}" * 20 for i in range(300)))
    assert "and 280 more" in message
    assert len(message) < 2500


def test_a_column_that_is_there_twice_is_ambiguous(tmp_path: Path) -> None:
    message = failure(tmp_path, "recording,gloss,gloss,start,end\nv,x,y,1,2\n")
    assert "has several columns named 'gloss'" in message
    assert rows(tmp_path, "recording,gloss,note,note,start,end\nv,x,y,y,1,2\n")[0].label == "x"


def test_an_unknown_field_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown field 'glos'.*Did you mean 'gloss'\?"):
        rows(tmp_path, HEADER, columns={"glos": "gloss"})


def test_bytes_that_are_not_utf_8_are_located(tmp_path: Path) -> None:
    good = HEADER + "v.mp4,қой,1,2\n" * 200_000
    text = good.encode() + b"v.mp4," + "кошка".encode("cp1251") + b",1,2\n"
    message = failure(tmp_path, text)
    assert f"byte 0xEA at {len(good.encode()) + 6} (line 200002) is not UTF-8" in message
    assert "CP1251" in message
    assert "'CSV UTF-8'" in message  # What Excel calls it; converting would not bring ә back.


def test_a_utf_16_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    text = (HEADER + "v,қой,1,2\n").encode("utf-16")[:-1]
    assert f"at {len(text) - 1} (line 2) is not UTF-16-LE" in failure(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty; expected a header line"),
        (b"\xef\xbb\xbf", "is empty; expected a header line"),
        (b"\n \r\n", "is empty; expected a header line"),
        (HEADER.encode() + b"v,\0,1,2\n", "line 2: a NUL character"),
        (HEADER.encode("utf-16-le"), "line 1: a NUL character"),
        (HEADER.encode() + b'v,x,1,2\nv,"x,1,2\nv,x,1,2\n', "line 3: a quotation mark opens a cell and is not closed"),
        (HEADER.encode() + b'v,"a\nb","x,1\nv,x,1,2\n', "line 3: a quotation mark opens a cell"),
        (HEADER.encode() + b'v,"","""x",1,2,"\n', "line 2: a quotation mark opens a cell"),
        (HEADER.encode() + b'v,"' + b"x,1,2\n" * 30_000, "line 2: a quotation mark opens a cell"),
        (HEADER.encode() + b'v,"x,1,2\nv,"y",1,2\n', "starts on line 2 cannot be read"),
        (HEADER.encode() + b'v,"x"y,1,2\n', "starts on line 2 cannot be read"),
        (HEADER.encode() + b"v," + b"x" * 100_001 + b",1,2\n", "more than 100000 characters"),
        (HEADER.encode() + b"v," + b"x" * 200_000 + b",1,2\n", "starts on line 2 cannot be read"),
        (b"x" * 200_000, "starts on line 1 cannot be read"),
        (b"PK\x03\x04\x14\0\x06\0", "or a ZIP archive. Save the sheet as CSV (UTF-8)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel sheet. Save the sheet as CSV"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "compressed with gzip. Unpack it"),
    ],
)  # fmt: skip
def test_what_is_not_a_table_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    found = failure(tmp_path, text)
    assert message in found
    assert str(tmp_path / "a.csv") in found


def strict(folder: Path, text: str | bytes) -> list[tuple[int, dict[str, str]]]:
    path = folder / "strict.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_rows(path, names=("signer_id",), known=("signer_id", "split")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_strict_table_gives_each_row_by_the_names_of_its_columns(
    tmp_path: Path, encoding: str
) -> None:
    text = '\nsigner_id; split\r\nкөл;"a;b"\r\n;\r\n\r\n s2 ;\r\n'
    assert strict(tmp_path, text.encode(encoding)) == [
        (3, {"signer_id": "көл", "split": "a;b"}),
        (6, {"signer_id": "s2", "split": ""}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("signer_id,split\ns1,train,s2\n", "line 2: 3 cells, but the header has 2"),
        ("signer_id,split\ns1\n", "line 2: 1 cells, but the header has 2"),
        ("signer_id,split,split\ns1,train,test\n", "line 1: several columns are named 'split'"),
        ("signer_id,side\n", "line 1: unknown column 'side'. Known columns: signer_id, split."),
        ("split\n", "has no column 'signer_id' on line 1; it has 'split'."),
        ("signer_id,split,\ns1,train,\n", "line 1: column 3 has no name"),
        (",\n", "line 1: column 1 has no name"),
        ('signer_id,split\ns1,"train\ns2,test\n', "line 2: a quotation mark opens a cell"),
        ('signer_id,split\ns1,"train\ns2,",x\n', "line 2: 3 cells"),
        ('signer_id,split\ns1,"train\ns2,"\n', "line 2, column 'split': the cell has a line"),
        ("signer_id,split\ns1,tr\0ain\n", "line 2: a NUL character"),
        ("signer_id,split\ns1," + "x" * 200_000, "starts on line 2 cannot be read"),
        ("signer_id,split\ns1,кіші\n".encode("cp1251"), "is not UTF-8"),
    ],
)  # fmt: skip
def test_a_strict_table_has_no_defect(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(AnnotationError) as error:
        strict(tmp_path, text)
    assert message in str(error.value)
    assert str(tmp_path / "strict.csv") in str(error.value)


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    with path.open("wb") as stream:
        stream.truncate((1 << 30) + 1)
    with pytest.raises(AnnotationError, match=r"big\.csv is larger than 1 GiB"):
        list(read(Source(files=(path,))))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"none\.csv does not exist"):
        list(read(Source(files=(tmp_path / "none.csv",))))
    with pytest.raises(AnnotationError, match="cannot be opened"):
        list(read(Source(files=(tmp_path,))))


cell = st.text(
    st.characters(exclude_characters="\0\r\ufeff", exclude_categories=["Cs"]), max_size=20
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    table=st.lists(st.tuples(cell, cell, cell, cell, cell), max_size=8),
    mark=st.sampled_from(",;\t|"),
)
def test_whatever_csv_writes_comes_back(
    tmp_path: Path, table: list[tuple[str, str, str, str, str]], mark: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, quoting=csv.QUOTE_ALL)
    writer.writerows([("recording", "gloss", "start", "end", "emotion"), *table])
    expected = [
        [unicodedata.normalize("NFC", value).strip() or None for value in row] for row in table
    ]
    found = rows(tmp_path, text.getvalue())
    assert [[r.recording.strip() or None, r.label, r.start, r.end, r.emotion] for r in found] == [
        row for row in expected if any(row)
    ]


@needs_data
def test_the_real_annotations() -> None:
    columns = {"recording": "file", "gloss": "label"}
    source = Source(files=(DATA / "real" / "annotations.csv",), columns=columns)
    found = list(read(source))
    assert len(found) == 11
    assert {row.unit for row in found} == {"ms", "s", "frame", "timecode"}
    assert found[0] == Annotation(
        source="annotations.csv:2",
        recording="slovo_privet.mp4",
        start="2",
        end="65",
        unit="frame",
        label="privet",
        signer="signer_a",
        emotion="neutral",
    )


@needs_data
def test_a_tab_export_with_russian_headers() -> None:
    columns = {
        "recording": "Файл",
        "gloss": "right-hand",
        "start": "Время начала - миллисекунды",
        "end": "Время окончания - миллисекунды",
    }
    path = DATA / "corpora" / "krsl_nonmanuals_elan.excerpt.tsv"
    found = list(read(Source(files=(path,), columns=columns)))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(found) == sum(bool(line.strip()) for line in lines) - 1
    assert found[0].label == "ДЕВОЧКА"
    assert all(row.problem is None for row in found)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"<!DOCTYPE html>\n<html>",
            "is not a text table: it is a web page.*fetch the file itself",
        ),
        (b"<HTML><body>404", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS.*git lfs pull"),
        ("file,gloss\n".encode("utf-16-le"), "line 1: a NUL character, as in UTF-16 without"),
        ("file,сөз\n".encode("utf-16-be"), "line 1: a NUL character, as in UTF-16 without"),
        (b'\n{"file": "a.mp4"}\n', "line 2: '.*' is JSON; expected a table.*such as jsonl"),
        (b'[{"gloss": 1}]', "line 1: '.*' is JSON"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(AnnotationError, match=said):
        list(read_cells(path))


def test_a_column_called_version_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"version ,file\n1,a.mp4\n")
    assert [cells for _, cells in read_cells(path)] == [["version ", "file"], ["1", "a.mp4"]]
