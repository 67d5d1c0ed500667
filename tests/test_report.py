"""The report: its numbers are those of the tables, its markup is its own."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kslds.errors import CorruptData, IncompleteDataset, UsageError
from kslds.manifest import Dataset, readable_json
from kslds.report import contact_sheet, report, summary
from kslds.report.contact import choose
from kslds.schema import Clip, Dropped, Issue, Recording, Segment, Sign
from tests.painting import read_number

HOSTILE = "<script>alert('1')</script>\"&<img src=x onerror=alert(2)>\x00"
WIDTH, MARGIN, GAP, CAPTION, BETWEEN = 1200, 24, 6, 30, 18


class Page(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self.open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "caption":
            self._caption += data
        elif self._rows and {"td", "th"} & set(self.open):
            self._rows[-1][-1] += data

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


@pytest.fixture
def copy(small: Dataset, tmp_path: Path) -> Dataset:
    """The small dataset, to be changed."""
    shutil.copytree(small.root, tmp_path / "copy")
    return Dataset(tmp_path / "copy")


def add_baseline(dataset: Dataset, **changes: object) -> None:
    folder = dataset.root / "reports" / "baselines" / "linear-probe-gloss"
    folder.mkdir(parents=True)
    Image.new("RGB", (40, 30), "navy").save(folder / "confusion.png")
    document = {
        "model": "linear-probe", "task": "gloss", "top1": 0.75, "macro_f1": 0.5, "chance": 0.25,
        "n_train": 16, "n_test": 8, "paper": None, "dataset_sha256": "0" * 64,
        "per_signer": {"a": {"accuracy": 0.5, "n": 4}, "b": {"accuracy": 1.0, "n": 4}},
    } | changes  # fmt: skip
    (folder / "result.json").write_bytes(readable_json(document))


# --------------------------------------------------------------------------- numbers


def test_the_summary_is_exact_and_plain(small: Dataset) -> None:
    facts = summary(small)
    clips = small.read("clips", Clip)
    seconds = sum(Fraction(c.num_frames * c.fps_den, c.fps_num) for c in clips)
    assert facts["clips"]["number"] == len(clips) == 24
    assert facts["clips"]["frames"] == sum(c.num_frames for c in clips) == 24 * 12
    assert facts["clips"]["seconds"] == pytest.approx(float(seconds), abs=0.0005)
    assert facts["clips"]["hours"] == facts["clips"]["seconds"] / 3600
    assert (facts["signers"], facts["classes"], facts["emotions"]) == (6, 2, 1)
    assert list(facts["stages"]) == [
        "ingest-recordings", "ingest-segments", "trim", "resize", "split", "shard",
    ]  # fmt: skip
    assert facts["stages"] == small.provenance["stages"]
    sides = facts["splits"]["signer"]
    assert list(sides) == ["train", "test"]
    assert sides["train"]["signers"] + sides["test"]["signers"] == 6
    for side, held in sides.items():
        index = json.loads((small.root / "shards" / "h264" / "index.json").read_bytes())
        assert held["clips"] == index["splits"][side]["samples"]
        assert held["seconds"] == pytest.approx(float(seconds) * held["clips"] / 24, abs=0.01)
    for folder, held in facts["shards"].items():
        files = [p for p in (small.root / folder).glob("t*") if ".index." not in p.name]
        assert held["files"] == len(files)
        assert held["bytes"] == sum(p.stat().st_size for p in files)
        assert held["samples"] == 24
    assert json.loads(json.dumps(facts)) == facts


def test_the_summary_counts_segments_before_there_are_clips(copy: Dataset) -> None:
    copy.path("clips").unlink()
    segments = [replace(s, gloss_id=None) for s in copy.read("segments", Segment)]
    copy.write("segments", segments)
    facts = summary(copy)
    assert "clips" not in facts
    assert (facts["signers"], facts["classes"], facts["emotions"]) == (6, 2, 1)


def test_clips_without_a_sign_or_signer_are_no_class_and_on_no_side(copy: Dataset) -> None:
    clips = copy.read("clips", Clip)
    signer = clips[0].signer_id
    mine = [c for c in clips if c.signer_id == signer]
    nameless = replace(mine[0], signer_id=None)
    clips = [replace(c, gloss_id=None) for c in mine[1:]] + [nameless]
    copy.write("clips", clips)
    facts = summary(copy)
    assert (facts["signers"], facts["classes"]) == (1, 1)
    sides = facts["splits"]["signer"].values()
    assert sorted((s["signers"], s["clips"], s["classes"]) for s in sides) == [(0, 0, 0), (1, 3, 0)]
    assert "Not published." in Page(report(copy)).text


def test_the_summary_counts_dropped_rows_and_issues(copy: Dataset) -> None:
    row = Dropped(stage="trim", table="clips", key="a", code="K202", reason="r")
    copy.write("dropped", [row, replace(row, key="b"), replace(row, key="c", code="K301")])
    issue = Issue(severity="warning", code="K311", table="segments", key="a", message="m")
    copy.write("issues", [issue, replace(issue, severity="error", code="K301")])
    facts = summary(copy)
    assert facts["dropped"] == {"K202": 2, "K301": 1}
    assert facts["issues"] == {"error": {"K301": 1}, "warning": {"K311": 1}}
    assert list(facts["issues"]) == ["error", "warning"]


def test_an_unreadable_result_is_named(copy: Dataset) -> None:
    add_baseline(copy)
    path = copy.root / "reports" / "baselines" / "linear-probe-gloss" / "result.json"
    path.write_text("[]")
    with pytest.raises(CorruptData, match=r"result\.json does not hold a JSON object"):
        summary(copy)


# --------------------------------------------------------------------------- the page


def test_the_page_says_what_the_tables_say(copy: Dataset) -> None:
    clips = copy.read("clips", Clip)
    # So that signers differ in what they sign.
    clips = [c for i, c in enumerate(clips) if i not in (0, 2, 5, 9, 10, 11)]
    copy.write("clips", clips)
    page = Page(report(copy))
    books = {row[0]: row[3:] for row in page.tables["The books of every stage"][1:]}
    assert books == {
        name: [str(b["in"]), str(b["out"]), str(b["dropped"]), "✓ yes"]
        for name, b in copy.provenance["stages"].items()
    }
    header, *rows = page.tables["Clips of each sign by each signer"]
    counts = Counter((c.gloss_id, c.signer_id) for c in clips)
    assert header[2:] == [f"subject_{s:02d}" for s in range(6)]
    for row in rows[:-1]:
        gloss = row[0].split(" · ")[-1]
        assert [int(n) for n in row[2:]] == [counts[gloss, signer] for signer in header[2:]]
    assert {row[0].split(" · ")[0] for row in rows[:-1]} == {"әке", "әпке"}
    by_signer = Counter(c.signer_id for c in clips)
    assert rows[-1] == ["All signs", "18", *(str(by_signer[signer]) for signer in header[2:])]
    sides = summary(copy)["splits"]["signer"]
    assert [row[1:4] for row in page.tables["What is on each side"][1:]] == [
        [side, str(held["signers"]), str(held["clips"])] for side, held in sides.items()
    ]
    recordings = {row[0]: row for row in page.tables["The recordings"][1:]}
    for recording in copy.read("recordings", Recording):
        assert recordings[recording.source_file][6] == str(recording.num_frames)
    sad = sum(c.emotion == "sad" for c in clips)
    assert page.tables["Clips with each emotion on each side"][1][:2] == ["sad", str(sad)]


def test_what_was_dropped_is_shown_with_its_reason(copy: Dataset) -> None:
    rows = [
        Dropped(stage="trim", table="clips", key=f"k{i:03d}", code="K202", reason=f"reason {i:03d}")
        for i in range(55)
    ]
    part = replace(rows[0], stage="consensus", code="K141", key="seg")
    copy.write("dropped", [*rows, part, replace(rows[0], code="K999", reason="=1+1", key="-x")])
    page = Page(report(copy))
    assert [row[:3] for row in page.tables["By code"][1:]][:1] == [
        ["K202", "no frame in the span", "55"]
    ]
    shown = page.tables["K202, no frame in the span"][1:]
    assert [row[:2] for row in shown] == [[f"k{i:03d}", f"reason {i:03d}"] for i in range(20)]
    assert "… and 35 more." in page.text
    assert "`" not in page.text
    data = (copy.root / "reports" / "dropped.csv").read_bytes()
    listed = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    assert data.startswith(b"\xef\xbb\xbf")
    assert len(listed) == 57
    assert listed[1] | {"reason": ""} == {
        "stage": "trim", "table": "clips", "key": "'-x", "code": "K999", "reason": "",
        "what": "", "what to do": "",
    }  # fmt: skip
    assert listed[1]["reason"] == "'=1+1"  # a spreadsheet must not calculate it
    assert listed[2]["what to do"] == "Widen the segment."


def test_a_hint_that_says_more_than_the_code_is_shown(copy: Dataset) -> None:
    issue = Issue(
        severity="error", code="K301", table="segments", key="a", message="unknown 'әк'",
        hint="Did you mean 'әке'?",
    )  # fmt: skip
    usual = replace(issue, code="K112", hint="Swap or correct them.")
    copy.write("issues", [issue, usual])
    page = Page(report(copy))
    assert page.tables["K301, unknown label"] == [
        ["Where", "Message", "Hint"], ["a", "unknown 'әк'", "Did you mean 'әке'?"]
    ]  # fmt: skip
    assert page.tables["K112, reversed segment"][0] == ["Where", "Message"]


def test_hostile_text_stays_text(copy: Dataset) -> None:
    before = Page(report(copy))
    copy.update_provenance(name=HOSTILE, licence=HOSTILE, ffmpeg=HOSTILE)
    signs = copy.read("signs", Sign)
    copy.write("signs", [replace(s, kk=HOSTILE, ru=HOSTILE) for s in signs])
    recordings = copy.read("recordings", Recording)
    copy.write("recordings", [replace(r, source_file=HOSTILE, damage=HOSTILE) for r in recordings])
    clips = copy.read("clips", Clip)
    copy.write("clips", [replace(c, emotion=HOSTILE) for c in clips])
    copy.write(
        "dropped", [Dropped(stage=HOSTILE, table="clips", key=HOSTILE, code="K202", reason=HOSTILE)]
    )
    copy.write("issues", [
        Issue(severity=HOSTILE, code=HOSTILE, table="x", key=HOSTILE, message=HOSTILE,
              hint=HOSTILE)
    ])  # fmt: skip
    capture = {recordings[0].recording_id: {HOSTILE: HOSTILE}}
    (copy.root / "reports" / "capture.json").write_bytes(readable_json(capture))
    add_baseline(copy, model=HOSTILE, task=HOSTILE)

    path = report(copy)
    page = Page(path)
    assert set(page.tags) - set(before.tags) == {"figcaption"}
    assert page.tags["script"] == 0
    assert page.tags["img"] == before.tags["img"] + 1  # the confusion picture
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert {tag for tag, name, _ in page.attributes if name == "src"} == {"img"}
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert page.text.count(shown) > 20
    raw = path.read_text(encoding="utf-8")
    assert "<script" not in raw
    assert "&lt;script&gt;alert(&#x27;1&#x27;)" in raw
    assert "\x00" not in raw


def test_the_page_needs_nothing_else_and_is_accessible(copy: Dataset) -> None:
    copy.write("dropped", [Dropped(stage="trim", table="c", key="k", code="K202", reason="r")])
    add_baseline(copy)
    path = report(copy)
    page = Page(path)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for target in page.values("href"):
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (path.parent / target).is_file()
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
    assert "://" not in path.read_text(encoding="utf-8")
    assert page.tags["img"] == 2 == len([a for t, n, a in page.attributes if n == "alt" and a])
    assert ("html", "lang", "en") in page.attributes
    assert {("span", "lang", "kk"), ("span", "lang", "ru")} <= set(page.attributes)
    assert page.tags["caption"] == page.tags["table"] > 8
    assert page.tags["th"] == len(page.values("scope"))
    assert page.tags["h1"] == 1
    assert "әке · отец" in next(a for t, n, a in page.attributes if n == "alt")


def test_a_baseline_of_another_build_is_called_so(copy: Dataset) -> None:
    add_baseline(copy)
    row = Page(report(copy)).tables["Baselines"][1]
    assert [cell.replace("\xa0", " ") for cell in row] == [
        "linear-probe", "gloss", "75.0 %", "25.0 %", "0.500", "50.0 % (a) to 100.0 % (b)", "16",
        "8", "–", "another build",
    ]  # fmt: skip
    path = copy.root / "reports" / "baselines" / "linear-probe-gloss" / "result.json"
    document = json.loads(path.read_bytes())
    document["dataset_sha256"] = copy.provenance["dataset_sha256"]
    document["paper"] = {"top1": 0.9663, "macro_f1": None, "source": "KSL-Emo"}
    path.write_bytes(readable_json(document))
    row = Page(report(copy)).tables["Baselines"][1]
    assert row[-2:] == ["96.6\xa0%", "this build"]


def test_personal_data_are_shown_as_not_published(copy: Dataset) -> None:
    recording = copy.read("recordings", Recording)[0]
    capture = {recording.recording_id: {"device": "Phone", "location": "+51+071/"}}
    (copy.root / "reports" / "capture.json").write_bytes(readable_json(capture))
    page = Page(report(copy))
    assert page.tables["Found in the raw files"] == [
        ["File", "Device", "Location"], [recording.source_file, "Phone", "+51+071/"]
    ]  # fmt: skip
    assert "Not published." in page.text
    assert "6 of 6 signers consented to publication; 0 withdrew." in page.text


# --------------------------------------------------------------------------- completeness


def test_an_empty_dataset_has_a_page(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "empty", create=True)
    facts = summary(dataset)
    assert (facts["name"], facts["signers"], facts["stages"]) == ("empty", 0, {})
    assert not {"clips", "splits", "shards", "baselines"} & set(facts)
    page = Page(report(dataset))
    assert "Not done yet: ingest-recordings, ingest-segments, trim" in page.text
    assert "No stage has run yet." in page.text
    assert page.tags["img"] == 0
    with pytest.raises(IncompleteDataset, match="no rendered clip"):
        contact_sheet(dataset, path=tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    "missing",
    [
        ("shards", "parquet"),
        ("tables/splits", "shards", "parquet"),
        ("clips", "tables/splits"),
        ("clips", "tables/clips.parquet"),
        ("tables/clips.parquet", "tables/signs.parquet", "tables/issues.parquet", "clips"),
        ("tables/recordings.parquet", "tables/signers.parquet", "tables/dropped.parquet"),
        ("provenance.json", "reports"),
    ],
)
def test_a_half_built_dataset_has_a_page(copy: Dataset, missing: tuple[str, ...]) -> None:
    for name in missing:
        path = copy.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    json.dumps(summary(copy))
    page = Page(report(copy))
    assert page.tags["section"] == 13
    assert page.tags["img"] == (0 if "clips" in missing else 1)
    assert (copy.root / "reports" / "contact-sheet.png").is_file() == ("clips" not in missing)


def test_the_same_dataset_gives_the_same_bytes(copy: Dataset, tmp_path: Path) -> None:
    report(copy)
    other = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(copy.root, other, ignore=shutil.ignore_patterns("*.html", "*.png"))
    report(Dataset(other))
    for name in ("index.html", "contact-sheet.png", "dropped.csv", "issues.csv"):
        first = (copy.root / "reports" / name).read_bytes()
        assert first == (other / "reports" / name).read_bytes()


def test_progress_is_told(copy: Dataset) -> None:
    told: list[tuple[str, int, int]] = []
    report(copy, progress=lambda *step: told.append(step))
    assert told == [("report", done, 3) for done in range(4)]


# --------------------------------------------------------------------------- contact sheet


def cells(path: Path, *, rows: int, frames: int) -> list[list[np.ndarray]]:
    """The pictures on a sheet."""
    sheet = np.asarray(Image.open(path))
    cell = (WIDTH - 2 * MARGIN - (frames - 1) * GAP) // frames
    height = 2 * MARGIN + rows * (CAPTION + cell + BETWEEN) - BETWEEN
    assert sheet.shape == (height, WIDTH, 3)
    return [
        [
            sheet[(top := MARGIN + r * (CAPTION + cell + BETWEEN) + CAPTION) : top + cell,
                  (left := MARGIN + c * (cell + GAP)) : left + cell]
            for c in range(frames)
        ]
        for r in range(rows)
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["h264", "jpeg"])
def test_the_sheet_shows_the_frames_from_first_to_last(copy: Dataset, encoding: str) -> None:
    if encoding == "jpeg":
        shutil.rmtree(copy.root / "clips" / "h264")
    path = copy.root / "sheet.png"
    contact_sheet(copy, path=path, rows=6, frames=4)
    clips = {
        (c.first_frame, c.last_frame): c.signer_id for c in copy.read("clips", Clip)
    }  # the painted number is the source frame's
    signers = set()
    for row in cells(path, rows=6, frames=4):
        numbers = [read_number(cell) for cell in row]
        first = numbers[0]
        assert numbers == [first, first + 4, first + 7, first + 11]
        signers.add(clips[first, first + 11])
    assert signers == {f"subject_{s:02d}" for s in range(6)}


def test_the_sheet_has_a_caption_over_each_row(copy: Dataset) -> None:
    path = copy.root / "sheet.png"
    contact_sheet(copy, path=path, rows=2, frames=8)
    sheet = np.asarray(Image.open(path))
    assert (sheet[MARGIN : MARGIN + CAPTION] < 128).any()
    assert (sheet[:MARGIN] == 255).all()
    assert (sheet[:, :MARGIN] == 255).all()


def test_a_sentence_is_called_by_how_it_begins(copy: Dataset) -> None:
    clips = copy.read("clips", Clip)
    texts = ["мен бала", "мен қала бар дос сен үй ана", None]
    copy.write("clips", [
        dataclasses.replace(clip, gloss_id=None, sentence=texts[number % 3])
        for number, clip in enumerate(clips)
    ])  # fmt: skip
    assert {clip.name for clip in choose(copy, rows=len(clips))} == {
        "мен бала", "мен қала бар дос сен үй …", "(no sign)",
    }  # fmt: skip


def test_a_damaged_clip_leaves_its_row_and_the_others_stay(copy: Dataset) -> None:
    path = copy.root / "sheet.png"
    contact_sheet(copy, path=path, rows=6, frames=4)
    whole = cells(path, rows=6, frames=4)
    for tar in sorted((copy.root / "clips" / "h264").glob("*.tar"))[:1]:
        data = bytearray(tar.read_bytes())
        data[1000::997] = bytes(b ^ 255 for b in data[1000::997])
        tar.write_bytes(data)
    contact_sheet(copy, path=path, rows=6, frames=4)
    same = [
        all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
        for old, new in zip(whole, cells(path, rows=6, frames=4), strict=True)
    ]
    assert sorted(same) == [False, True, True, True, True, True]


@pytest.mark.parametrize(("rows", "frames"), [(0, 8), (101, 8), (8, 0), (8, 33)])
def test_a_sheet_of_no_use_is_refused(small: Dataset, rows: int, frames: int) -> None:
    with pytest.raises(UsageError, match="expected 1 to 100 rows, 1 to 32 frames"):
        contact_sheet(small, path=Path("never.png"), rows=rows, frames=frames)
