"""The exports of SLAN-tool, readable, repaired and refused."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kslds import ingest
from kslds.clips import ClipOptions, trim
from kslds.corpora import Annotation, Source, adapter
from kslds.corpora.slan import read
from kslds.errors import AnnotationError, MissingFile, RecipeError
from kslds.manifest import Dataset
from kslds.recipe import read as read_recipe
from kslds.recipe import run_ingest
from kslds.schema import Clip
from kslds.validate import Rules, validate
from tests.painting import record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "slan"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")
REPAIR = {"repair": "eaf-times-x10"}

# Frames 2 to 65 of a recording at 30 frames a second, and one more sign.
TIMES = [(66, 2166), (2387, 3341)]


def time_json() -> str:
    notes = [
        {
            "ANNOTATION_ID": str(i),
            "BEGIN_TIME": a,
            "END_TIME": b,
            "VALUE": f"БЕЛГІ{i}",
            "TYPE": "text",
        }
        for i, (a, b) in enumerate(TIMES)
    ]
    hand = {
        "ANNOTATION_ID": "9",
        "BEGIN_TIME": 95,
        "END_TIME": 1432,
        "VALUE": "fist",
        "TYPE": "hand",
    }
    tiers = [("row_1", "text", "Gloss", notes), ("row_2", "handshape", "Hand", [hand])]
    return json.dumps({"TIERS": [
        {"TIER": {"TIER_ID": key, "TIER_TYPE": kind, "TIER_NAME": name, "ANNOTATIONS": rows}}
        for key, kind, name, rows in tiers
    ]})  # fmt: skip


def old_json() -> str:
    rows = "".join(
        f"{{'ANNOTATION_ID': '{i}','BEGIN_TIME': '{a}','END_TIME': '{b}','VALUE': 'БЕЛГІ{i}'}},"
        for i, (a, b) in enumerate(TIMES)
    )
    return f"{{'TIERS':[{{'TIER' : {{'TIER_ID': 'row_1','ANNOTATIONS': [{rows}]}}}},]}}"


def time_xml() -> str:
    rows = "".join(
        f'<ANNOTATION ANNOTATION_ID="{i}" BEGIN_TIME="{a}" END_TIME="{b}">'
        f"<ANNOTATION_VALUE>БЕЛГІ{i}</ANNOTATION_VALUE></ANNOTATION>"
        for i, (a, b) in enumerate(TIMES)
    )
    return f'<ANNOTATION_DOCUMENT><TIER TIER_ID="row_1">{rows}</TIER></ANNOTATION_DOCUMENT>'


def project() -> str:
    ranges = [{"range": [a, b], "value": f"БЕЛГІ{i}", "id": str(i)}
              for i, (a, b) in enumerate([(2 / 112, 65 / 112), (0.639386, 0.895141)])]  # fmt: skip
    row = {"totalDuration": 112 / 30, "tier_type": "text", "tier_name": "Gloss", "ranges": ranges}
    return json.dumps({"value": {"row_1": row}})


def slan_eaf() -> str:
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{i}" TIME_VALUE="{t // 10}"/>'
        for i, t in enumerate(t for pair in TIMES for t in pair)
    )
    notes = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{i}" TIME_SLOT_REF1="ts{2 * i}" '
        f'TIME_SLOT_REF2="ts{2 * i + 1}"><ANNOTATION_VALUE>БЕЛГІ{i}</ANNOTATION_VALUE>'
        "</ALIGNABLE_ANNOTATION></ANNOTATION>"
        for i in range(2)
    )
    return (
        '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2021-07-08T16:51:56+06:00"><HEADER>'
        '<MEDIA_DESCRIPTOR MEDIA_URL="" MIME_TYPE="" RELATIVE_MEDIA_URL=""/></HEADER>'
        f'<TIER TIER_ID="row_1" LINGUISTIC_TYPE_REF="default-lt">{notes}</TIER>'
        f"<TIME_ORDER>{slots}</TIME_ORDER></ANNOTATION_DOCUMENT>"
    )


def frame_xml(values: str) -> str:
    """A frame export of one tier; ``.aab`` is nothing, twice a, b."""
    frames = "".join(
        f'<FRAME FRAME_NUMBER="{i}"><ANNOTATION ANNOTATION_ID="row_1">'
        f"<VALUE>{'' if v == '.' else v}</VALUE></ANNOTATION></FRAME>"
        for i, v in enumerate(values)
    )
    return f"<FRAMES>{frames}</FRAMES>"


def notes(
    folder: Path, text: str | bytes, name: str = "clip.json", **options: str
) -> list[Annotation]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read(Source(files=(path,), options=options)))


def failure(folder: Path, text: str | bytes, name: str = "clip.json", **options: str) -> str:
    with pytest.raises(AnnotationError) as error:
        notes(folder, text, name, **options)
    assert str(folder / name) in str(error.value)
    return str(error.value)


# What is read


@pytest.mark.parametrize(
    ("text", "times"),
    [
        (time_json(), TIMES),
        (old_json(), TIMES),
        (time_xml(), TIMES),
        (project(), TIMES),
        (slan_eaf(), [(60, 2160), (2380, 3340)]),
    ],
    ids=["time JSON", "older time JSON", "time XML", "project", "EAF"],
)
def test_every_export_tells_the_same(
    tmp_path: Path, text: str, times: list[tuple[int, int]]
) -> None:
    for data in (
        text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode(),
    ):
        found = notes(tmp_path, data, **REPAIR)
        assert [(n.label, n.start, n.end) for n in found] == [
            (f"БЕЛГІ{i}", str(a), str(b)) for i, (a, b) in enumerate(times)
        ]
        assert {(n.recording, n.unit, n.problem) for n in found} == {("clip", "ms", None)}


def test_tiers_are_chosen_by_name_type_or_id(tmp_path: Path) -> None:
    path = tmp_path / "clip.json"
    path.write_text(time_json(), encoding="utf-16")
    source = Source(files=(path,), tiers=("type:hand*",), columns={"sentence": "Gloss"})
    (found,) = adapter("slan")(source)
    assert found == Annotation(
        source="clip.json:row_2/9", recording="clip", start="95", end="1432", unit="ms",
        label="fist", sentence="БЕЛГІ0", tier="Hand",
    )  # fmt: skip
    path.write_text(time_xml(), encoding="utf-8")
    assert len(list(read(Source(files=(path,), tiers=("row_1",))))) == 2
    with pytest.raises(AnnotationError, match=r"has no tier 'Gloss'; it has: 'row_1'"):
        list(read(Source(files=(path,), tiers=("Gloss",))))


@pytest.mark.parametrize(
    ("name", "options", "recording"),
    [
        ("P3_S147_02.json", {}, "P3_S147_02"),
        ("P3_S147_02/project.json", {}, "P3_S147_02"),
        ("P3_S147_02/savedProject.txt", {}, "P3_S147_02"),
        ("project.json", {"recording": "x.mp4"}, "x.mp4"),
    ],
)
def test_the_recording_is_the_name_of_the_file_or_of_its_folder(
    tmp_path: Path, name: str, options: dict[str, str], recording: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    assert notes(tmp_path, old_json(), name, **options)[0].recording == recording


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (".aa.", [("a", 40, 160)]),
        ("a", [("a", 0, 80)]),
        # At 25 frames a second [40, 120) and [120, 200): the sample at their border is empty.
        (".a.b.", [("a", 40, 120), ("b", 120, 200)]),
        ("aab", [("a", 0, 100), ("b", 100, 160)]),
        ("a.a", [("a", 0, 80), ("a", 80, 160)]),
        ("...", []),
    ],
)
def test_frame_exports(tmp_path: Path, values: str, expected: list[tuple[str, int, int]]) -> None:
    found = notes(tmp_path, frame_xml(values))
    assert [(n.label, int(n.start or -1), int(n.end or -1)) for n in found] == expected


# Which frames these times pick


@given(
    rate=st.fractions(1, 1000, max_denominator=1001),
    first=st.integers(0, 10**6),
    length=st.integers(1, 1000),
)
def test_a_millisecond_rounded_down_picks_the_frame_that_was_meant(
    rate: Fraction, first: int, length: int
) -> None:
    def ms(frame: int) -> int:
        return int(1000 * frame / rate)

    start, end = ms(first), ms(first + length)
    picked = [k for k in range(max(first - 2, 0), first + length + 3) if start <= ms(k) < end]
    assert picked == list(range(first, first + length))


@given(rate=st.fractions(1, 100, max_denominator=1001), first=st.integers(0, 10**5))
def test_a_hundredth_rounded_down_does_so_up_to_100_frames_a_second(
    rate: Fraction, first: int
) -> None:
    start = 10 * int(100 * first / rate)
    frames = range(max(first - 2, 0), first + 3)
    assert min(k for k in frames if start <= int(1000 * k / rate)) == first


@given(start=st.integers(0, 10**5), length=st.integers(41, 10**4))
def test_a_frame_export_is_at_most_one_step_too_wide(start: int, length: int) -> None:
    end = start + length
    samples = [
        n for n in range(start // 40 - 1, end // 40 + 1) if n >= 0 and start < 40 * (n + 1) < end
    ]
    if samples:
        first, last = 40 * samples[0], 40 * (samples[-1] + 2)
        assert start - 40 < first <= start
        assert end <= last < end + 40
        if start % 40 == 0 and end % 40 == 0:
            assert (first, last) == (start, end)


def test_end_to_end(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    options = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
    record(media / "one.mp4", num_frames=112, options=options)
    record(media / "two.mp4", num_frames=113, options=options)
    (tmp_path / "one.json").write_text(time_json(), encoding="utf-8")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "project.eaf").write_text(slan_eaf(), encoding="utf-8")
    dataset = Dataset(tmp_path / "dataset", create=True)
    ingest.ingest(
        dataset,
        options=ingest.IngestOptions(
            media=(str(media),),
            adapter="slan",
            annotations=(str(tmp_path / "one.json"), str(tmp_path / "two")),
            tiers=("row_1*", "Gloss*"),
            options=REPAIR,
        ),
    )
    validate(dataset, lexicon=None, rules=Rules())
    trim(dataset, options=ClipOptions(), unknown="keep")
    found = {
        (c.source_file, c.start_ms): (c.first_frame, c.last_frame)
        for c in dataset.read("clips", Clip)
    }
    assert found == {
        ("one.mp4", 66): (2, 64),
        ("one.mp4", 2387): (72, 100),
        ("two.mp4", 60): (2, 64),
        ("two.mp4", 2380): (72, 100),
    }


def test_the_bundled_recipe_is_for_this_adapter() -> None:
    recipe = read_recipe("slan")
    assert recipe.ingest is not None
    assert recipe.ingest.adapter == "slan"


# What is wrong


def test_a_time_that_is_no_time_is_a_problem_of_its_row(tmp_path: Path) -> None:
    text = time_json().replace("2166", '"soon"').replace("2387,", "NaN,")
    first, second = notes(tmp_path, text)
    assert first.problem is not None
    assert first.problem[0] == "K111"
    assert "end: 'soon' is not a time in ms" in first.problem[1]
    assert second.problem is not None
    assert (second.start, second.end) == (None, "3341")
    wild = project().replace("0.639386", "1E-999999999").replace("0.895141", "1E999999999")
    assert notes(tmp_path, wild)[1].problem is not None


def test_an_eaf_is_repaired_only_when_asked(tmp_path: Path) -> None:
    message = failure(tmp_path, slan_eaf(), "project.eaf")
    assert "whose times are ten times too small" in message
    assert 'options = { repair = "eaf-times-x10" }' in message
    other = slan_eaf().replace("<ANNOTATION_DOCUMENT", '<ANNOTATION_DOCUMENT VERSION="3.0"')
    assert 'Use adapter = "elan".' in failure(tmp_path, other, "f.eaf", **REPAIR)


def test_the_elan_adapter_refuses_it_too(tmp_path: Path) -> None:
    path = tmp_path / "f.eaf"
    path.write_text(slan_eaf(), encoding="utf-8")
    with pytest.raises(AnnotationError, match=r'exported by SLAN-tool.*adapter = "slan"'):
        list(adapter("elan")(Source(files=(path,))))


FRAME_JSON = (
    '{"FRAMES": [{"FRAME_NUMBER" : 0,"ANNOTATIONS" : [{"ANNOTATION_ID": row_1, "VALUE":]},},'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected time JSON"),
        (FRAME_JSON, "is a frame JSON of SLAN-tool, which is not JSON: its values have no quotes"),
        (old_json().replace("'},", "},", 1),
         "cannot be read: expected texts in single quotes, with a comma or a bracket after each, at l"),
        (project()[:60], "cannot be read: expected a closing quote for the text that begins at line 1, "),
        (project().replace('"value":', '"value" ', 1), "expected a colon after the key at line 1, column "),
        ('{"TIERS": [\n{"TIER": {"TIER_ID": "a"}}\n', "the text breaks off; expected a comma or a clos"),
        ("{" * 100_000, "cannot be read"),
        ('{"a":' * 100_000, "cannot be read"),
        ("{'a':" * 100_000, "cannot be read"),
        ("{'a': {[]: 1}}", "cannot be read"),
        ("{'a': open('/etc/passwd')}", "cannot be read"),
        ("{'a': nan}", "expected nothing but texts, lists and objects"),
        ("{'" + "a" * (5 << 20) + "': 1}", "larger than 4 MiB"),
        ("[]", "has '[]'; expected time JSON"),
        ('{"gloss": 1}', "has 'gloss'; expected time JSON"),
        ('{"TIERS": 3}', "'TIERS' is not a list of objects"),
        ('{"TIERS": [{"TIER": 3}]}', "'TIER' is not a list of objects"),
        ('{"value": {"row_1": {"ranges": 1}}}', "'ranges' is not a list"),
        ("{'TIERS': 1 + open('x')}", "expected nothing but texts, lists and objects"),
        (b'{"TIERS":\n "' + "МЫСЫҚ".replace("Қ", "К").encode("cp1251") + b'"}',
         "clip.json, line 2: byte 0xCC at 12 is not UTF-8, in which SLAN-tool writes"),
        ("<TextGrid/>", "its outermost element is 'TextGrid'"),
        ("<FRAMES><FRAME/></FRAMES>", "a FRAME has the FRAME_NUMBER ''"),
        ("<FRAMES>", "is not well-formed XML: the text breaks off; expected the end of every element"),
        ("<FRAMES>\n</FRAME>", "expected the end of the element that began last at line 2, column 3"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><FRAMES>&a;</FRAMES>', "declares a document type"),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in failure(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('[{"gloss": "a", "instances": []}]', "wlasl"),
        ("attachment_id\ttext\tuser_id\n1\tx\ty\n", "slovo"),
    ],
)
def test_a_file_of_another_collection_is_recognised(tmp_path: Path, text: str, fits: str) -> None:
    assert f"It looks like a file for adapter = {fits!r}" in failure(tmp_path, text)


def test_missing_and_too_large(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"none\.json does not exist"):
        list(read(Source(files=(tmp_path / "none.json",))))
    with (tmp_path / "big.json").open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    with pytest.raises(AnnotationError, match="is larger than 64 MiB"):
        list(read(Source(files=(tmp_path / "big.json",))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repairs": "x"}, "the adapter 'slan' has no option 'repairs'"),
        ({"repair": "yes"}, "repair = 'yes' is not one of none, eaf-times-x10"),
        ({"recording": "a.mp4"}, "but there are 2 annotation files"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, str], message: str) -> None:
    files = tuple(tmp_path / name for name in ("a.json", "b.json"))
    with pytest.raises(RecipeError, match=message):
        list(read(Source(files=files, options=options)))
    with pytest.raises(RecipeError, match=r"unknown field 'glos'.*Did you mean 'gloss'"):
        list(read(Source(files=files, columns={"glos": "x"})))


def test_a_backslash_is_a_backslash(tmp_path: Path) -> None:
    text = old_json().replace("БЕЛГІ0", "a\\nb\\")
    assert notes(tmp_path, text)[0].label == "a\\nb\\"


def test_three_annotators_in_a_folder_each_become_one(tmp_path: Path) -> None:
    """Their boundaries are averaged: 60, 66 and 72 ms are 66; 2160, 2166, 2175 are 2167."""
    recording = tmp_path / "media" / "P3.mp4"
    recording.parent.mkdir()
    record(recording, num_frames=112)
    for who, start, end in (("a1", 60, 2160), ("a2", 66, 2166), ("a3", 72, 2175)):
        text = time_json().replace(": 66,", f": {start},").replace(": 2166,", f": {end},")
        path = tmp_path / "exports" / who / ("P3/project.json" if who == "a3" else "P3.json")
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "r.toml").write_text(
        '[ingest]\nmedia = "media"\nadapter = "slan"\nannotations = "exports"\n'
        'tiers = ["Gloss"]\noptions = { annotator = "folder" }\n[consensus]\nrule = "mean"\n'
    )
    dataset = Dataset(tmp_path / "out", create=True)
    run_ingest(dataset, read_recipe(tmp_path / "r.toml"))
    found = dataset.segments.sort_values("start_ms")
    assert found[["start_ms", "end_ms"]].to_numpy().tolist() == [[66, 2167], [2387, 3341]]
    numbers = json.loads((tmp_path / "out" / "reports" / "agreement.json").read_bytes())
    assert numbers["annotators"] == {"a1": 2, "a2": 2, "a3": 2}


@pytest.mark.parametrize("value", ["a'ke", "'", "''", "a'},b", "МЫС\\'ЫҚ"])
def test_an_apostrophe_in_a_value_of_the_older_json_is_one(tmp_path: Path, value: str) -> None:
    found = notes(tmp_path, old_json().replace("БЕЛГІ0", value))
    assert [(n.label, int(n.start or -1), int(n.end or -1)) for n in found] == [
        (value, *TIMES[0]), ("БЕЛГІ1", *TIMES[1])
    ]  # fmt: skip


def test_values_that_never_end_take_no_time(tmp_path: Path) -> None:
    started = time.process_time()
    failure(tmp_path, "{'a': [" + "{'VALUE': '" * 300_000)
    assert time.process_time() - started < 20


# The twelve real files


EXACT = [("МЫСЫҚ", 66, 2166), ("САУ БОЛ", 2387, 3341), ("hamflathand", 95, 1432)]
HUNDREDTHS = [("МЫСЫҚ", 60, 2160), ("САУ БОЛ", 2380, 3340), ("hamflathand", 90, 1430)]
STEPS = [("МЫСЫҚ", 40, 2200), ("САУ БОЛ", 2360, 3360), ("hamflathand", 80, 1440)]


@needs_data
@pytest.mark.parametrize("version", ["current_staticfiles", "legacy_static"])
@pytest.mark.parametrize(
    ("export", "named", "expected"),
    [
        ("exportTimeJson__project.json", True, EXACT),
        ("exportTimeXML__project.xml", False, EXACT),
        ("saveProject__savedProject.txt", True, EXACT),
        ("etfexport__project.eaf", False, HUNDREDTHS),
        ("exportFrameXML__project.xml", False, STEPS),
    ],
)
def test_the_real_files(
    version: str, export: str, named: bool, expected: list[tuple[str, int, int]]
) -> None:
    path = DATA / f"{version}__{export}"
    named = named and (version != "legacy_static" or "save" in export)
    found = list(read(Source(files=(path,), tiers=("*",), options=REPAIR)))
    assert [(n.label, int(n.start or -1), int(n.end or -1)) for n in found] == expected
    tiers = ["Gloss", "Gloss", "Right hand"] if named else ["row_1", "row_1", "row_2"]
    assert [n.tier for n in found] == tiers
    assert {(n.problem, n.recording) for n in found} == {(None, path.stem)}


@needs_data
@pytest.mark.parametrize("version", ["current_staticfiles", "legacy_static"])
def test_the_real_frame_json_is_refused(version: str) -> None:
    path = DATA / f"{version}__exportFrameJson__project.json"
    with pytest.raises(AnnotationError, match="Export the project as time JSON or frame XML"):
        list(read(Source(files=(path,))))
