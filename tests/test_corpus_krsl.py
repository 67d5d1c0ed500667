"""K-RSL: an ELAN export with Russian headers, its delay, and names spelled in many ways."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from kslds import clips, ingest
from kslds import recipe as recipes
from kslds.corpora import END, Annotation, Source, adapter
from kslds.corpora.krsl import delay_ms
from kslds.errors import AnnotationError, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Clip, Issue
from kslds.validate import Rules, validate
from tests.painting import record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "corpora"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")

HEADER = (
    "Время начала - миллисекунды\tВремя окончания - миллисекунды\thead\tbrows\tright-hand\t"
    "left-hand\tbody\tФайл\tПуть к файлу"
)
EXPORT = f"""{HEADER}
300\t900\t\t\tКОТ\t\t\tgen_q_neut_kot.spit_mir.eaf
100\t1200\t\tbr_raise\t\t\t\tgen_q_neut_kot.spit_mir.eaf
1000\t1500\tnod\t\tСПАТЬ\tСПАТЬ\t\tgen_q_neut_kot.spit_mir.eaf\t/home/x/a.eaf

274\t1000\t\t\tКОТ\t\t\tutv-neut-kot.spit-bo.eaf
800\t1000\t\t\t\t\tlf\tpart_q-anger-kotspit-Bo.eaf
"""
META = """\tfps\tframe_count\tvideo_name
0\t30.0\t60\tgen_q-kot_spit-mira
1\t14.563\t30\tst-kot_spit-bo
2\t28.222\t50\tpart_q_anger-kot_spit-bo
"""


def notes(
    folder: Path, text: str | bytes = EXPORT, meta: str | None = META, *, media: tuple[str, ...] = (),
    tiers: tuple[str, ...] = (), **options: str,
) -> list[Annotation]:  # fmt: skip
    files = [folder / "elan.tsv"]
    files[0].write_bytes(text if isinstance(text, bytes) else text.encode())
    if meta is not None:
        files.append(folder / "meta_video.tsv")
        files[1].write_text(meta, encoding="utf-8")
    source = Source(files=tuple(files), media=media, tiers=tiers, options=options)
    return list(adapter("krsl")(source))


def spans(found: list[Annotation]) -> list[tuple[str | None, str | None, str | None, str | None]]:
    return [(n.tier, n.label, n.start, n.end) for n in found]


def test_every_cell_of_a_tier_is_a_segment_without_the_delay(tmp_path: Path) -> None:
    found = notes(tmp_path)
    assert spans(found) == [
        ("right-hand", "КОТ", "167", "767"),
        ("brows", "br_raise", "0", "1067"),
        ("head", "nod", "867", "1367"),
        ("right-hand", "СПАТЬ", "867", "1367"),
        ("left-hand", "СПАТЬ", "867", "1367"),
        ("right-hand", "КОТ", "0", "726"),
        ("body", "lf", "659", "859"),
    ]
    assert [n.recording for n in found][-3:] == [
        "gen_q-kot_spit-mira", "st-kot_spit-bo", "part_q_anger-kot_spit-bo",
    ]  # fmt: skip
    assert [n.signer for n in found][-3:] == ["mira", "bo", "bo"]
    assert [n.emotion for n in found][-2:] == ["neutral", "angry"]
    assert found[0].source == "elan.tsv:2:right-hand"
    assert all(n.problem is None and n.unit == "ms" for n in found)


def test_a_clip_says_what_its_recording_is(tmp_path: Path) -> None:
    found = [n.sentence for n in notes(tmp_path)]
    # As the list of videos spells it, which has part_q where the export has anger behind it.
    assert found == ["gen_q-kot_spit"] * 5 + ["st-kot_spit", "part_q-kot_spit"]
    media = ("v/gen_q-neut-kot.spitsya-mira.mp4", "v/st_kot_spit_bo.mp4")
    found = [n.sentence for n in notes(tmp_path, media=media, tiers=("right-hand",))]
    assert found == ["gen_q-kot_spitsya"] * 2 + ["st-kot_spit"]
    # A clip of a tier and the whole recording name it in one way.
    (whole, _) = adapter("krsl")(Source(files=(), media=media))
    assert whole.label == "gen_q-kot_spitsya"


@pytest.mark.parametrize(
    ("rate", "delay"),
    [("60", 133), ("30", 133), ("29.999", 141), ("28.22", 141), ("28.169", 142), ("23.094", 173),
     ("22.9", 174), ("22.865", 175), ("19.544", 204), ("19.243", 207), ("19.218", 241), ("16.593", 241),
     ("14.734", 271), ("14.684", 272), ("14.605", 273), ("14.6", 273), ("14.563", 274), ("1", 274)],
)  # fmt: skip
def test_the_delay_of_the_authors(rate: str, delay: int) -> None:
    assert delay_ms(Fraction(rate)) == delay


def test_delay_as_an_option(tmp_path: Path) -> None:
    assert spans(notes(tmp_path, delay="none"))[1][2:] == ("100", "1200")
    assert spans(notes(tmp_path, meta=None, delay="150"))[1][2:] == ("0", "1050")
    # 60 frames last 2000 ms; 167 * 2000 / (2000 - 133) = 178.9
    assert spans(notes(tmp_path, delay="paper-stretched"))[0][2:] == ("178", "821")
    with pytest.raises(RecipeError, match=r"delay = .1\.5."):
        notes(tmp_path, delay="1.5")
    with pytest.raises(AnnotationError, match=r"video_name, fps, frame_count"):
        notes(tmp_path, meta=None)


def test_a_decimal_comma_is_said(tmp_path: Path) -> None:
    found = notes(tmp_path, EXPORT.replace("300\t900", "300,5\t900"))[0]
    assert (found.start, found.end) == ("167", "767")
    ((code, said),) = found.notes
    assert code == "K116"
    assert "'300,5'" in said


def test_two_lists_of_videos_have_to_agree(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("elan.tsv", "one.tsv", "two.tsv")]
    for path, text in zip(paths, (EXPORT, META, META.replace("30.0", "25.0")), strict=True):
        path.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"two\.tsv: the video 'gen_q-kot_spit-mira' has"):
        list(adapter("krsl")(Source(files=tuple(paths))))
    paths[2].write_text(META, encoding="utf-8")
    assert len(list(adapter("krsl")(Source(files=tuple(paths))))) == 7


def test_tiers_and_configurations(tmp_path: Path) -> None:
    assert [n.label for n in notes(tmp_path, tiers=("*-hand",))] == ["КОТ", "СПАТЬ", "СПАТЬ", "КОТ"]
    with pytest.raises(RecipeError, match="no tier 'mouthing'"):
        notes(tmp_path, tiers=("mouthing",))
    assert len(notes(tmp_path, config="question-statement")) == 6
    assert [n.label for n in notes(tmp_path, config="emotional-question-statement")] == ["lf"]
    assert notes(tmp_path, config="minimal-pairs") == []
    with pytest.raises(RecipeError, match="config = 'questions'"):
        notes(tmp_path, config="questions")


def test_names_are_joined_with_the_media(tmp_path: Path) -> None:
    media = ("v/gen_q-neut-kot.spit-mira.mp4", "v/st_kot_spit_bo.mp4", "v/st_kot_spit_mir.mp4")
    found = notes(tmp_path, media=media, tiers=("right-hand",))
    assert [n.recording for n in found] == [media[0], media[0], media[1]]


def test_names_that_cannot_be_joined_are_named(tmp_path: Path) -> None:
    meta = META.replace("gen_q-kot_spit-mira", "gen_q-pes_spit-mira")
    found = notes(tmp_path, meta=meta, tiers=("right-hand",))
    assert [n.problem and n.problem[0] for n in found] == ["K103", "K103", None]
    assert found[0].problem is not None
    assert "'gen_q_neut_kot.spit_mir' fits no video of the list" in found[0].problem[1]
    assert not any(n.problem for n in notes(tmp_path, meta=meta, delay="none"))


def test_two_videos_that_fit_are_not_guessed_between(tmp_path: Path) -> None:
    meta = META.replace("kot_spit-mira", "kot_spi-mira") + "3\t30.0\t60\tgen_q-kot_spits-mira\n"
    (first, *_) = notes(tmp_path, meta=meta)
    assert first.problem is not None
    assert first.problem[0] == "K103"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("x\t900\t\t\tКОТ\t\t\tutv-neut-kot.spit-bo.eaf", "K111"),
        ("1\t900\t\t\tКОТ\t\t\t", "K103"),
        ("1\t900\t\t\t\t\t\tutv-neut-kot.spit-bo.eaf", "K118"),
        ("1\t2\t3\t4\t5\t6\t7\tutv-neut-kot.spit-bo.eaf\t9\t10", "K124"),
    ],
)
def test_a_bad_row(tmp_path: Path, line: str, code: str) -> None:
    (found,) = notes(tmp_path, f"{HEADER}\n\n{line}\n")
    assert found.problem is not None
    assert (found.problem[0], found.source.split(":")[:2]) == (code, ["elan.tsv", "3"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str) -> None:
    assert spans(notes(tmp_path, EXPORT.replace("\n", "\r\n").encode(encoding))) == spans(
        notes(tmp_path)
    )


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="UTF-8"):
        notes(tmp_path, EXPORT.encode("cp1251"))
    with pytest.raises(AnnotationError, match=r"adapter = 'slovo'"):
        notes(tmp_path, "attachment_id\ttext\tuser_id\nx\ty\tz\n")
    for bad, said in (
        (META.replace("30.0", "0"), "a frame rate"),
        (META.replace("\t60", "\tmany"), "a number of frames"),
        (META + META.splitlines()[1] + "\n", "line 2 too"),
    ):
        with pytest.raises(AnnotationError, match=said) as error:
            notes(tmp_path, meta=bad)
        assert "meta_video.tsv" in str(error.value)


def test_without_an_export_every_file_is_a_segment() -> None:
    media = ("KRSL20/kuda_q/12_s1.mp4", "gen_q-dom_post-x.mp4", "videos/st_anger_dom_post_x.mp4")
    found = list(adapter("krsl")(Source(files=(), media=media)))
    assert [(n.label, n.signer, n.emotion, n.end) for n in found] == [
        ("kuda_q", "s1", None, END),
        ("gen_q-dom_post", "x", "neutral", END),
        ("st-dom_post", "x", "angry", END),
    ]
    chosen = Source(files=(), media=media, options={"config": "question-statement"})
    assert [n.recording for n in adapter("krsl")(chosen)] == [media[1]]
    in_folder = Source(files=(), media=("emotion/a_s1.mp4",), options={"config": "emotion"})
    assert len(list(adapter("krsl")(in_folder))) == 1


def test_to_clips(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "gen_q-kot_spit-mira.mp4", num_frames=60, options=X264)
    record(media / "st-kot_spit-bo.mp4", num_frames=30, rate=Fraction("14.563"), options=X264)
    notes(tmp_path)
    options = ingest.IngestOptions(
        media=(str(media),), adapter="krsl", tiers=("right-hand",),
        annotations=(str(tmp_path / "elan.tsv"), str(tmp_path / "meta_video.tsv")),
    )  # fmt: skip
    dataset = Dataset(tmp_path / "dataset", create=True)
    ingest.ingest(dataset, options=options)
    validate(dataset, lexicon=None, rules=Rules())
    clips.trim(dataset, options=clips.ClipOptions())
    assert {c.sentence for c in dataset.read("clips", Clip)} == {"gen_q-kot_spit", "st-kot_spit"}
    made = {
        (c.source_file, c.first_frame, c.last_frame, c.signer_id)
        for c in dataset.read("clips", Clip)
    }
    # [167, 767) ms at 30 frames a second: frames at 200 … 766 ms, for frame 23 is at 766.
    assert made == {
        ("gen_q-kot_spit-mira.mp4", 6, 23, "mira"),
        ("gen_q-kot_spit-mira.mp4", 27, 41, "mira"),
        ("st-kot_spit-bo.mp4", 0, 10, "bo"),
    }


def test_a_video_of_another_length_than_the_list_says_is_named_once(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "gen_q-kot_spit-mira.mp4", num_frames=90, options=X264)  # the list says 60
    notes(tmp_path)
    options = ingest.IngestOptions(
        media=(str(media),), adapter="krsl", tiers=("right-hand", "brows"),
        annotations=(str(tmp_path / "elan.tsv"), str(tmp_path / "meta_video.tsv")),
    )  # fmt: skip
    dataset = Dataset(tmp_path / "dataset", create=True)
    ingest.ingest(dataset, options=options)
    assert len(dataset.segments) == 3
    said = [i.message for i in dataset.read("issues", Issue) if i.code == "K131"]
    assert said == ["elan.tsv:2:right-hand: the metadata state 2000 ms, the recording has 3000 ms"]


@needs_data
def test_the_published_export() -> None:
    files = (
        DATA / "krsl_nonmanuals_elan.excerpt.tsv",
        DATA / "krsl_nonmanuals_meta.excerpt.tsv",
    )
    found = list(adapter("krsl")(Source(files=files)))
    assert len(found) == 54  # 50 rows, four of them with two tiers
    assert {n.problem for n in found} == {None}

    def shown(note: Annotation) -> tuple[str | None, ...]:
        return note.recording, note.tier, note.label, note.start, note.end, note.signer

    assert shown(found[0]) == ("gen_q-dev_upala-alt", "right-hand", "ДЕВОЧКА", "167", "733", "alt")
    assert shown(found[9]) == ("gen_q-dev_upala-makh", "brows", "br_raise", "267", "1900", "makh")
    assert shown(found[-1])[0::4] == ("part_q-dev_upala-tanya", "2433")
    # The export says mir, the list of videos mira.
    assert {n.signer for n in found} == {"alt", "kar", "makh", "mira", "tanya"}


@pytest.mark.parametrize(
    ("file", "video"),
    [
        ("gen_q_neut_mam.ust_kar", "gen_q-mama_ust-kar"),
        ("st-neut-mal.chit_mira", "st-mal_chit-mira"),
        ("part_q-neut-papa.bezhit-vik", "part_q-papa_beg-vik"),
        ("utv-neut-sobaka.est-x", "st-sob_est-x"),
        ("part_q-neut-uch.smeh-X", "part_q-uchit_smeh-x"),
        ("part_q-neut-devupala-Gul", "part_q-dev_upala-gul"),
        ("gen_q-neut-dom.postroili-x", "gen_q-dom_post-x"),
    ],
)
def test_spellings_of_the_published_names(tmp_path: Path, file: str, video: str) -> None:
    sentences = "dev_upala dom_post mal_chit mama_ust okno_razb papa_beg reb_tanc sob_est tel_slom uchit_smeh"
    signers = "alt kar makh mira tanya gul shyr vik x"
    names = [
        f"{kind}-{sentence}-{signer}"
        for kind in ("gen_q", "part_q", "st")
        for sentence in sentences.split()
        for signer in signers.split()
    ]
    meta = "\tfps\tframe_count\tvideo_name\n" + "".join(f"0\t30.0\t60\t{n}\n" for n in names)
    (found,) = notes(tmp_path, f"{HEADER}\n133\t900\tnod\t\t\t\t\t{file}.eaf\n", meta)
    assert (found.recording, found.start, found.problem) == (video, "0", None)


def test_the_recipe() -> None:
    recipe = recipes.read("krsl")
    assert recipe.ingest is not None
    assert recipe.ingest.options == {"config": "question-statement", "delay": "paper"}


def test_the_published_signers_are_pseudonyms(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for number, signer in enumerate(("alt", "tanya", "x", "aliya")):
        record(media / f"gen_q-kot_spit-{signer}.mp4", num_frames=10 + number, options=X264)
    for name in ("krsl", "videofolder"):
        document = {"ingest": {"media": "media", "adapter": name}, "lexicon": {"unknown": "keep"}}
        recipe = recipes.from_document(document, base=tmp_path)
        dataset = Dataset(tmp_path / name, create=True)
        recipes.run_ingest(dataset, recipe)
        found = validate(dataset, lexicon=None, rules=recipe.rules)
        said = {i.key for i in found.issues if i.code == "K325"}
        assert said == ({"aliya"} if name == "krsl" else set())
        assert recipe.rules.pseudonyms == (
            {"alt", "gul", "kar", "makh", "mira", "shyr", "tanya", "vik", "x"}
            if name == "krsl"
            else set()
        )


@pytest.mark.parametrize("file", ["st_neut_malchik.uspel_kar", "st_neut_mama.ust_karim"])
def test_other_words_and_other_signers_are_not_joined(tmp_path: Path, file: str) -> None:
    text = f"{HEADER}\n0\t900\tnod\t\t\t\t\t{file}.eaf\n"
    (found,) = notes(tmp_path, text, None, media=("st-mama_ustala-kar.mp4",), delay="none")
    assert found.recording == file  # which is not there, as ingesting says


def test_an_export_of_an_english_elan_is_the_same(tmp_path: Path) -> None:
    text = EXPORT
    for russian, english in (
        ("Время начала - миллисекунды", "Begin Time - hh:mm:ss.ms\tBegin Time - msec"),
        ("Время окончания - миллисекунды", "End Time - msec"),
        ("Файл", "File"),
        ("Путь к файлу", "File Path"),
    ):
        text = text.replace(russian, english)
    lines = [line if line.startswith("Begin") or not line else f"00:00\t{line}"
             for line in text.split("\n")]  # fmt: skip
    found = notes(tmp_path, "\n".join(lines))
    assert spans(found) == spans(notes(tmp_path))
    assert {n.start_column for n in found} == {"Begin Time - msec"}

    path_only = (
        "Begin Time - msec\tEnd Time - msec\tDuration - msec\tbrows\tFile Path\n"
        "300\t900\t600\tbr_raise\tC:\\a\\gen_q_neut_kot.spit_mir.eaf\n"
        "x\t900\t600\tbr_raise\tC:\\a\\gen_q_neut_kot.spit_mir.eaf\n"
        "300\t900\t600\tbr_raise\t\n"
    )
    found = notes(tmp_path, path_only)
    assert spans(found)[0] == ("brows", "br_raise", "167", "767")
    assert [n.problem and n.problem[1][:28] for n in found] == [
        None, "column 'Begin Time - msec': ", "column 'File Path': is empty",
    ]  # fmt: skip
