"""The demo's recordings: planned right, drawn as planned, and true to their annotations."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from defusedxml import ElementTree

from kslds.corpora import demo as demos
from kslds.corpora.demo import KINDS, Demo, Take, plan, render
from kslds.corpora.performer import Performer, form_of, persona, scene
from kslds.corpora.puppet import Hand, Pose, Puppet
from kslds.errors import RecipeError
from kslds.probe import probe
from kslds.schema import Sign, Signer, arrow_schema
from kslds.video import ffmpeg_exe

SIGNS = [
    Sign(gloss_id=gloss, kk=kk, num_hands=hands)
    for gloss, kk, hands in [
        ("adam", "адам", None), ("su", "су", 1), ("duken", "дүкен", 2), ("kofe", "кофе", None),
        ("apke", "әпке", None), ("ake", "әке", None), ("bauyr", "бауыр", None),
        ("mysyq", "мысық", None), ("saubol", "сау бол", None), ("avtokolik", "автокөлік", None),
    ]
]  # fmt: skip
SMALL = Demo(signers=2, signs=2, emotions=1, seed=17)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    render(out, demo=SMALL, signs=SIGNS, workers=1)
    return out


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Take]]:
    """One short recording of each kind."""
    out = tmp_path_factory.mktemp("kinds")
    size = Demo(signers=8, signs=1, emotions=1)
    render(out, demo=size, signs=SIGNS, workers=1)
    return out, plan(size, SIGNS)


def hashes(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def packet_ms(path: Path) -> list[int]:
    """Millisecond in which each frame starts, in order, from the file's packets."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pts = sorted(p.pts for p in container.demux(stream) if p.size and p.pts is not None)
        base = stream.time_base
        assert base is not None
        return [int(1000 * t * base) for t in pts]


def eaf_segments(path: Path) -> list[tuple[int, int, str, str]]:
    """Start, end, gloss and emotion of each annotation."""
    root = ElementTree.parse(path).getroot()
    times = {s.get("TIME_SLOT_ID"): int(s.get("TIME_VALUE")) for s in root.iter("TIME_SLOT")}
    emotions = {
        a.get("ANNOTATION_REF"): a.findtext("ANNOTATION_VALUE") for a in root.iter("REF_ANNOTATION")
    }
    return [
        (
            times[a.get("TIME_SLOT_REF1")],
            times[a.get("TIME_SLOT_REF2")],
            a.findtext("ANNOTATION_VALUE"),
            emotions[a.get("ANNOTATION_ID")],
        )
        for a in root.iter("ALIGNABLE_ANNOTATION")
    ]


# ------------------------------------------------------------------------------- plan


@pytest.mark.parametrize(
    "size",
    [
        Demo(signers=1, signs=1, emotions=1),
        Demo(),
        Demo(signers=3, signs=7, emotions=3, repetitions=5),
        Demo(signers=12, signs=10, repetitions=2, seed=3),
    ],
)
def test_every_combination_is_signed_once(size: Demo) -> None:
    takes = plan(size, SIGNS)
    found = Counter(
        (take.signer, cue.form.gloss_id, cue.emotion, cue.repetition)
        for take in takes
        for cue in take.cues
    )
    assert len(found) == size.signers * size.signs * size.emotions * size.repetitions
    assert set(found.values()) == {1}
    assert {take.signer for take in takes} == set(range(size.signers))
    assert len({take.name for take in takes}) == len(takes)
    assert max(len(take.cues) for take in takes) <= demos.MAX_SIGNS_PER_RECORDING


def test_signs_follow_each_other_with_rest_between() -> None:
    for take in plan(Demo(), SIGNS):
        last = 0
        for cue in take.cues:
            assert last + 9 < cue.first_frame < cue.stop_frame < take.num_frames - 9
            assert 1100 < cue.stop_ms - cue.start_ms <= 2500
            last = cue.stop_frame


@pytest.mark.parametrize("seed", [0, 17, 2**40])
def test_eight_recordings_show_every_oddity(seed: int) -> None:
    kinds = [take.kind for take in plan(Demo(signers=8, signs=1, emotions=1, seed=seed), SIGNS)]
    assert {kind.name for kind in kinds} == {kind.name for kind in KINDS}
    assert {kind.suffix for kind in kinds} == {".mp4", ".mov", ".webm"}
    assert any(kind.rotation for kind in kinds)
    assert any(kind.variable for kind in kinds)
    assert any(kind.audio for kind in kinds)
    assert any(kind.rate.denominator == 1001 for kind in kinds)
    assert any("location" in tag for kind in kinds for tag in kind.tags)
    assert {kind.unit for kind in kinds} == {"frame", "ms"}


def test_one_signer_in_five_is_left_handed() -> None:
    for seed in range(6):
        hands = [persona(seed, number).left_handed for number in range(25)]
        assert [sum(hands[i : i + 5]) for i in range(0, 25, 5)] == [1, 1, 1, 1, 1]


def test_a_sign_looks_the_same_in_every_lexicon_and_unlike_the_others() -> None:
    many = [Sign(gloss_id=f"sign-{i}") for i in range(100)]
    forms = [form_of(sign) for sign in many]
    assert form_of(many[42]) == forms[42]
    features = [
        (f.place, f.movement, f.shape, f.hands, round(f.heading), f.aim, f.turn, f.repeats)
        for f in forms
    ]
    assert len(set(features)) == len(features)
    near = sum(
        sum(a != b for a, b in zip(one[:4], other[:4], strict=True)) == 1
        for i, one in enumerate(features)
        for other in features[:i]
    )
    assert near > 3
    assert form_of(Sign(gloss_id="x", num_hands=1)).hands == "one"
    assert form_of(Sign(gloss_id="x", num_hands=2)).hands != "one"


@pytest.mark.parametrize(
    ("name", "value"),
    [("signers", 0), ("signs", -1), ("emotions", 5), ("repetitions", 0), ("seed", -1),
     ("signers", 1.5), ("signs", True), ("repetitions", "2")],
)  # fmt: skip
def test_impossible_sizes_are_refused(name: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"the demo's {name} is {value!r}"):
        Demo(**{name: value})  # type: ignore[arg-type]


def test_too_small_a_lexicon_is_refused_and_counted(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="asks for 11 signs; the lexicon has 10"):
        render(tmp_path, demo=Demo(signs=11), signs=SIGNS)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------ drawing


def picture(pose: Pose, *, noise: float = 0.0) -> np.ndarray:
    who = persona(17, 0)
    room = scene(who, seed=17, session=0, size=(320, 240))
    room = type(room)(**{**vars(room), "noise": noise})
    return np.frombuffer(Puppet(who.look, room).frame(pose), np.uint8).reshape(240, 320, 3)


def test_a_left_handed_signer_raises_the_other_hand() -> None:
    low = Hand(0.5, 1.3, 0.2)
    rest = picture(Pose(dominant=low, other=low))
    centres = []
    for left in (False, True):
        up = picture(Pose(dominant=Hand(0.5, -0.2, 0.4), other=low, left_handed=left))
        changed = np.abs(up.astype(int) - rest).sum(axis=2)[:110]
        centres.append(np.average(np.arange(320), weights=changed.sum(axis=0)))
    assert centres[0] < 140 < 180 < centres[1]


def test_noise_never_wraps_around() -> None:
    quiet = picture(Pose(dominant=Hand(0.5, 0.2, 0.4), other=Hand(0.5, 1.3, 0.2))).astype(int)
    noisy = picture(Pose(dominant=Hand(0.5, 0.2, 0.4), other=Hand(0.5, 1.3, 0.2)), noise=4.0)
    difference = np.abs(noisy.astype(int) - quiet)
    assert 2 < difference.mean() < 4
    assert difference.max() <= 16


def test_hands_rest_outside_signs_and_move_inside() -> None:
    take = plan(SMALL, SIGNS)[0]
    performer = Performer(persona(SMALL.seed, 0), take.cues, seed=SMALL.seed, session=take.session)
    times = [float(take.kind.frame_time(i)) for i in range(take.num_frames)]
    hand = np.array([performer.pose(t).dominant[:3] for t in times])
    speed = np.abs(np.diff(hand, axis=0)).sum(axis=1)
    inside = np.zeros(take.num_frames, bool)
    for cue in take.cues:
        inside[cue.first_frame : cue.stop_frame] = True
    assert speed[~inside[1:] & ~inside[:-1]].max() < 0.002
    for cue in take.cues:
        assert speed[cue.first_frame : cue.first_frame + 8].max() > 0.02
        assert speed[cue.stop_frame - 9 : cue.stop_frame - 1].max() > 0.02


# ---------------------------------------------------------------------------- recordings


def test_books_and_tables(small: Path) -> None:
    done = render(small, demo=SMALL, signs=SIGNS)
    table = rows(small / "annotations.csv")
    assert done.segments == len(table) == 2 * 2
    assert done.recordings == len(list((small / "media").iterdir())) == 2
    assert done.frames == sum(len(packet_ms(path)) for path in (small / "media").iterdir())
    assert list(table[0]) == [
        "file", "label", "start", "end", "unit", "signer", "emotion", "session"
    ]  # fmt: skip
    assert {row["label"] for row in table} == {"adam", "su"}
    signers = rows(small / "signers.csv")
    assert list(signers[0]) == arrow_schema(Signer).names
    assert [row["signer_id"] for row in signers] == ["subject_01", "subject_02"]
    assert {row["consent_scope"] for row in signers} == {"publication"}
    state = json.loads((small / "demo.json").read_text())
    found = hashes(small)
    del found["demo.json"]
    assert state["files"] == found


def test_the_same_seed_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    render(tmp_path, demo=SMALL, signs=SIGNS, workers=2)
    assert hashes(tmp_path) == hashes(small)


def test_another_seed_replaces_everything(tmp_path: Path) -> None:
    one = Demo(signers=2, signs=1, emotions=1, seed=1)
    render(tmp_path, demo=one, signs=SIGNS, workers=1)
    before = hashes(tmp_path)
    (tmp_path / "mine.txt").write_text("not the demo's")
    done = render(tmp_path, demo=Demo(signers=1, signs=1, emotions=1), signs=SIGNS, workers=1)
    after = hashes(tmp_path)
    assert done.drawn == 1
    assert len(list((tmp_path / "media").iterdir())) == 1
    assert after.pop("mine.txt")
    assert not set(before.values()) & set(after.values())


def test_what_is_complete_is_kept(small: Path, tmp_path: Path) -> None:
    whole = hashes(small)
    stamps = {path: path.stat().st_mtime_ns for path in small.rglob("*") if path.is_file()}
    assert render(small, demo=SMALL, signs=SIGNS).drawn == 0
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}

    gone, kept = sorted((small / "media").iterdir())
    gone.unlink()
    kept_at = kept.stat().st_mtime_ns
    assert render(small, demo=SMALL, signs=SIGNS, workers=1).drawn == 1
    assert kept.stat().st_mtime_ns == kept_at
    assert hashes(small) == whole


def test_a_run_that_was_killed_goes_on(small: Path) -> None:
    whole = hashes(small)
    state = json.loads((small / "demo.json").read_text())
    # As after a kill: nothing recorded yet, one recording there, one half written.
    state["files"] = dict.fromkeys(state["files"])
    (small / "demo.json").write_text(json.dumps(state))
    (small / "annotations.csv").unlink()
    lost, _ = sorted((small / "media").iterdir())
    half = lost.with_name(f".{lost.name}.123.tmp")
    lost.rename(half)
    assert render(small, demo=SMALL, signs=SIGNS, workers=1).drawn == 1
    assert not half.exists()
    assert hashes(small) == whole


def test_a_damaged_file_is_drawn_again(small: Path) -> None:
    whole = hashes(small)
    media = sorted((small / "media").iterdir())[1]
    media.write_bytes(media.read_bytes()[:-100])
    assert render(small, demo=SMALL, signs=SIGNS, workers=1).drawn == 1
    assert hashes(small) == whole


def test_a_strange_demo_json_deletes_nothing(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")
    out = tmp_path / "out"
    out.mkdir()
    (out / "demo.json").write_text('{"parameters": {}, "files": {"../precious.txt": null}}')
    render(out, demo=Demo(signers=1, signs=1, emotions=1), signs=SIGNS, workers=1)
    assert precious.read_text() == "keep me"


# --------------------------------------------------------------------------- annotations


def test_csv_and_elan_select_the_planned_frames(every_kind: tuple[Path, list[Take]]) -> None:
    out, takes = every_kind
    table = rows(out / "annotations.csv")
    assert {row["unit"] for row in table} == {"frame", "ms"}
    for take in takes:
        ms = packet_ms(out / "media" / take.media)
        assert len(ms) == take.num_frames
        planned = [list(range(cue.first_frame, cue.stop_frame)) for cue in take.cues]
        mine = [row for row in table if row["file"] == take.media]
        from_csv = [
            list(range(int(row["start"]), int(row["end"])))
            if row["unit"] == "frame"
            else [i for i, t in enumerate(ms) if int(row["start"]) <= t < int(row["end"])]
            for row in mine
        ]
        segments = eaf_segments(out / "elan" / f"{take.name}.eaf")
        from_elan = [[i for i, t in enumerate(ms) if a <= t < b] for a, b, _, _ in segments]
        assert planned == from_csv == from_elan
        assert [(row["label"], row["emotion"]) for row in mine] == [s[2:] for s in segments]


def test_elan_documents_are_what_elan_expects(small: Path) -> None:
    for path in sorted((small / "elan").iterdir()):
        root = ElementTree.parse(path).getroot()
        media = root.find("HEADER/MEDIA_DESCRIPTOR").get("RELATIVE_MEDIA_URL")
        assert (path.parent / media).resolve().is_file()
        tiers = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}
        assert list(tiers) == ["gloss", "emotion"]
        assert tiers["emotion"].get("PARENT_REF") == "gloss"
        assert {t.get("PARTICIPANT") for t in tiers.values()} == {path.stem[:10]}
        entries = {e.get("CVE_ID"): e.find("CVE_VALUE") for e in root.iter("CV_ENTRY_ML")}
        for annotation in [*root.iter("ALIGNABLE_ANNOTATION"), *root.iter("REF_ANNOTATION")]:
            value = annotation.findtext("ANNOTATION_VALUE")
            assert entries[annotation.get("CVE_REF")].text == value
        assert entries["signs_adam"].get("DESCRIPTION") == "адам"


def test_elan_documents_are_valid(every_kind: tuple[Path, list[Take]]) -> None:
    schema = Path(__file__).parents[2] / "shared/data/elan/EAFv3.0.xsd"
    if not schema.is_file():
        pytest.skip("the EAF schema is not here")
    etree = pytest.importorskip("lxml.etree")
    validator = etree.XMLSchema(etree.parse(str(schema)))
    documents = sorted((every_kind[0] / "elan").iterdir())
    assert len(documents) == 8
    for path in documents:
        validator.assertValid(etree.parse(str(path)))


# -------------------------------------------------------------------------------- oddities


def test_files_are_as_odd_as_announced(every_kind: tuple[Path, list[Take]]) -> None:
    out, takes = every_kind
    for take in takes:
        kind, found = take.kind, probe(out / "media" / take.media)
        assert found.rotation == kind.rotation
        assert found.display_size == kind.size
        assert found.has_audio == bool(kind.audio)
        assert found.is_vfr == kind.variable
        assert ("location" in found.capture) == bool(kind.tags)
        assert found.damage is None
        if not kind.variable:
            step = np.diff([float(t * found.time_base) for t in found.pts])
            np.testing.assert_allclose(step, float(1 / kind.rate), atol=0.00101)


def test_rotated_recordings_are_upright(every_kind: tuple[Path, list[Take]]) -> None:
    """A player that honours the rotation shows what was drawn."""
    out, takes = every_kind
    rotated = [take for take in takes if take.kind.rotation]
    assert {take.kind.rotation for take in rotated} == {90, 180}
    for take in rotated:
        width, height = take.kind.size
        shown = subprocess.run(
            [ffmpeg_exe(), "-loglevel", "error", "-i", str(out / "media" / take.media),
             "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        picture = np.frombuffer(shown, np.uint8).reshape(height, width, 3).astype(int)
        who = persona(take.seed, take.signer)
        room = scene(who, seed=take.seed, session=take.session, size=take.kind.size)
        pose = Performer(who, take.cues, seed=take.seed, session=take.session).pose(0.0)
        drawn = np.frombuffer(Puppet(who.look, room).frame(pose), np.uint8)
        drawn = drawn.reshape(height, width, 3).astype(int)
        error = np.abs(picture - drawn).mean()
        assert error < 6
        assert error < 0.4 * np.abs(picture[::-1, ::-1] - drawn).mean()
