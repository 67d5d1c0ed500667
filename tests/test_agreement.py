"""Several annotators: matching, measures with published examples, consensus, and the build."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from kslds import recipe as recipes
from kslds import report
from kslds.agreement import cohen_kappa, consensus, krippendorff_alpha
from kslds.consensus import ConsensusOptions, group, iou, judge
from kslds.errors import RecipeError
from kslds.lexicon import Lexicon
from kslds.manifest import Dataset
from kslds.schema import DrawnSegment, Dropped, Issue, Segment, Sign
from tests.painting import record

# --------------------------------------------------------------------------- measures

KRIPPENDORFF_4 = ("123321412...", "12332241 25.3", ".33323422 51.", "12332441 251.")
"""The four observers and twelve units of Krippendorff 2011, section C."""


def units(*observers: str) -> list[list[str]]:
    rows = [row.replace(" ", "") for row in observers]
    return [[v for v in unit if v not in ".*"] for unit in zip(*rows, strict=True)]


def alpha_by_pairs(given_units: Sequence[Sequence[str]]) -> float:
    """The definition itself, 1 - D_o / D_e, over all pairs of values."""
    pairable = [unit for unit in given_units if len(unit) > 1]
    values = [value for unit in pairable for value in unit]
    n = len(values)
    observed = sum(
        sum(a != b for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j)
        / (len(unit) - 1)
        for unit in pairable
    )
    expected = sum(a != b for i, a in enumerate(values) for j, b in enumerate(values) if i != j)
    return 1 - (observed / n) / (expected / (n * (n - 1)))


@pytest.mark.parametrize(
    ("observers", "alpha"),
    [
        # Krippendorff 2011, sections A (binary), B (nominal) and C (missing values).
        (("0100000010", "1110010000"), 0.095),
        (("aabbdcccedda", "babbbcccedd d"), 0.692),
        (KRIPPENDORFF_4, 0.743),
        # Three coders, as the article "Krippendorff's alpha" of Wikipedia works it out.
        (("*****34121133*3", "1*213343*******", "**21344*2113 3*4"), 0.691),
    ],
)
def test_alpha_is_that_of_the_published_examples(observers: tuple[str, ...], alpha: float) -> None:
    found = krippendorff_alpha(units(*observers))
    assert found == pytest.approx(alpha_by_pairs(units(*observers)), abs=1e-12)
    assert round(found or 0, 3) == alpha


def test_alpha_is_not_defined_without_two_values_that_are_paired() -> None:
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]) is None
    assert krippendorff_alpha([["a"], ["b"]]) is None
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([["a", "a"], ["b", "b"], ["c"]]) == 1


def test_kappa_is_that_of_a_published_example() -> None:
    # 50 proposals: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no (Wikipedia, "Cohen's kappa").
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    # Cohen 1960, table 1: proportions of 200 judgements, kappa .492.
    counts = ((88, 14, 18), (10, 40, 10), (2, 6, 12))
    judged = [(str(i), str(j)) for i in range(3) for j in range(3) for _ in range(counts[i][j])]
    assert round(cohen_kappa(judged) or 0, 3) == 0.492
    assert cohen_kappa([("a", "a")]) is None
    assert cohen_kappa([]) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    found = cohen_kappa(pairs)
    if found is not None:
        theirs = cohen_kappa_score([a for a, _ in pairs], [b for _, b in pairs])
        assert found == pytest.approx(theirs)


# --------------------------------------------------------------------------- groups


def segment(annotator: str | None, start: int, end: int, **values: Any) -> Segment:
    texts = "-".join(str(v) for v in values.values())
    defaults: dict[str, Any] = {"recording_id": "rec_1", "label": "су", "signer_id": "s1"}
    return Segment(
        segment_id=f"seg_{annotator}-{start}-{end}-{texts}", start_ms=start, end_ms=end,
        annotator=annotator, source=f"{annotator}.csv:{start}", **{**defaults, **values},
    )  # fmt: skip


MEAN = ConsensusOptions(rule="mean")


def spans(groups: Sequence[Sequence[Segment]]) -> list[list[tuple[str | None, int]]]:
    return [[(s.annotator, s.start_ms) for s in members] for members in groups]


def test_iou_is_time_shared_over_time_covered() -> None:
    assert iou(segment("a", 0, 1000), segment("b", 500, 1500)) == pytest.approx(1 / 3)
    assert iou(segment("a", 0, 1000), segment("b", 1000, 1500)) == 0
    assert iou(segment("a", 0, 1000), segment("b", 0, 1000)) == 1


def test_the_best_overlap_decides_whom_a_segment_belongs_to() -> None:
    found = group(
        [segment("a", 0, 1000), segment("b", 100, 1100), segment("b", 1150, 2000),
         segment("a", 1100, 2000), segment("c", 5000, 6000)],
        options=MEAN,
    )  # fmt: skip
    assert spans(found) == [[("a", 0), ("b", 100)], [("a", 1100), ("b", 1150)], [("c", 5000)]]


def test_a_chain_of_overlaps_is_not_one_sign() -> None:
    # a and b overlap enough, b and c do, a and c do not: the better pair is the group.
    drawn = [segment("a", 0, 1000), segment("b", 300, 1300), segment("c", 500, 1500)]
    assert spans(group(drawn, options=MEAN)) == [[("a", 0)], [("b", 300), ("c", 500)]]
    wide = ConsensusOptions(rule="mean", min_iou=0.3)
    assert len(group(drawn, options=wide)) == 1


def test_nobody_is_in_a_group_twice() -> None:
    drawn = [segment("a", 0, 1000), segment("a", 10, 1010), segment("b", 0, 1000)]
    assert spans(group(drawn, options=MEAN)) == [[("a", 0), ("b", 0)], [("a", 10)]]


@pytest.mark.parametrize(
    "values",
    [{"recording_id": "rec_2"}, {"tier": "left"}, {"signer_id": "s2"},
     {"label": None, "sentence": "МЕН СУ"}],
)  # fmt: skip
def test_only_segments_of_one_recording_signer_tier_and_kind_are_compared(
    values: dict[str, Any],
) -> None:
    drawn = [segment("a", 0, 1000), segment("b", 0, 1000, **values)]
    assert len(group(drawn, options=MEAN)) == 2


def test_tiers_that_belong_to_annotators_can_be_compared() -> None:
    drawn = [segment("a", 0, 1000, tier="gloss a"), segment("b", 0, 1000, tier="gloss b")]
    options = ConsensusOptions(rule="mean", tiers="any")
    (outcome,) = judge(drawn, options=options)
    assert len(outcome.kept) == 1


# --------------------------------------------------------------------------- consensus


def one(drawn: Sequence[Segment], **options: Any) -> Segment:
    (outcome,) = judge(drawn, options=ConsensusOptions(min_iou=0.1, **options))
    (kept,) = outcome.kept
    return kept


def test_rules_for_boundaries_round_halves_up() -> None:
    drawn = [segment("a", 0, 1000), segment("b", 1, 1003), segment("c", 100, 1100)]
    span = lambda s: (s.start_ms, s.end_ms)  # noqa: E731
    assert span(one(drawn, rule="mean")) == (34, 1034)  # 33.67, 1034.33
    assert span(one(drawn, rule="median")) == (1, 1003)
    assert span(one(drawn[:2], rule="mean")) == (1, 1002)  # 0.5, 1001.5
    assert span(one(drawn[:2], rule="median")) == (1, 1002)
    weighted = one(drawn[1:], rule="weighted", weights={"b": 3, "c": 1.0})
    assert span(weighted) == (26, 1027)  # 25.75, 1027.25


def test_a_consensus_says_where_it_comes_from() -> None:
    made = one([segment("b", 0, 1000), segment("a", 10, 1000)], rule="mean")
    assert made.source == "a.csv:10 + b.csv:0"
    assert made.annotator == "consensus"
    assert made.segment_id not in {"seg_a", "seg_b"}


def test_the_majority_names_the_label_and_weights_are_votes() -> None:
    drawn = [segment("a", 0, 999, label="әке"), segment("b", 0, 999), segment("c", 0, 999)]
    assert one(drawn, rule="mean").label == "су"
    assert one(drawn, rule="weighted", weights={"a": 3}).label == "әке"


def test_spellings_of_one_sign_agree() -> None:
    lexicon = Lexicon(name="x", signs=(Sign(gloss_id="water", kk="су", ru="вода"),))
    same = lambda label: lexicon.match(label).gloss_id or label  # noqa: E731
    drawn = [segment("a", 0, 999, label="вода"), segment("b", 0, 999), segment("c", 0, 999)]
    (outcome,) = judge([*drawn, segment("d", 0, 999, label="x"), segment("e", 0, 999, label="x")],
                       options=MEAN, same=same)  # fmt: skip
    assert outcome.kept[0].label == "су"  # three votes for water, two of them spelled like this
    assert not outcome.tied


def test_a_tie_is_kept_or_dropped_as_the_recipe_says() -> None:
    drawn = [segment("a", 0, 999, label="су"), segment("b", 0, 999, label="ас")]
    (kept,) = judge(drawn, options=MEAN)
    assert (kept.kept[0].label, kept.tied) == ("ас", ("label",))
    (gone,) = judge(drawn, options=ConsensusOptions(rule="mean", disagreement="drop"))
    assert gone.kept == ()
    assert [(s.annotator, code) for s, code, _ in gone.dropped] == [("b", "K142"), ("a", "K142")]


def test_too_few_annotators_are_dropped_only_when_asked_for() -> None:
    alone = segment("a", 0, 999)
    (kept,) = judge([alone], options=MEAN)
    assert kept.kept == (alone,)
    (gone,) = judge([alone], options=ConsensusOptions(rule="mean", min_annotators=2))
    assert [code for _, code, _ in gone.dropped] == ["K143"]


def test_the_same_consensus_twice_is_one_segment() -> None:
    # Both groups come to the same boundaries and labels; what sets them apart is not part of a
    # segment's identity.
    drawn = [segment("a", 0, 1000), segment("b", 0, 1000, published_split="x"),
             segment("a", 0, 1000, published_split="y"), segment("b", 0, 1000)]  # fmt: skip
    outcomes = judge(drawn, options=MEAN)
    kept = [s.segment_id for o in outcomes for s in o.kept]
    assert len(kept) == len(set(kept))
    assert len(drawn) == len(kept) + sum(len(o.dropped) for o in outcomes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "average"}, "rule = 'average' is not one of none, mean"),
        ({"labels": "first"}, "labels = 'first'"),
        ({"min_iou": 0.0}, "min_iou = 0.0"),
        ({"min_annotators": 0}, "min_annotators = 0"),
        ({"rule": "weighted", "weights": {"a": 0}}, "that of 'a' is 0"),
        ({"min_annotators": 2}, "min_annotators and disagreement belong to a rule"),
        ({"disagreement": "drop"}, "min_annotators and disagreement belong to a rule"),
        ({"rule": "weighted"}, "weights belong"),
        ({"rule": "mean", "weights": {"a": 2}}, "weights belong"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ConsensusOptions(**options)


# --------------------------------------------------------------------------- properties

drawings = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(0, 40),
        st.integers(1, 20),
        st.sampled_from(("су", "ас", "нан")),
        st.sampled_from((None, "sad", "happy")),
    ),
    min_size=1,
    max_size=14,
    unique=True,
)
rules = st.sampled_from(("mean", "median"))


def drawn_by(rows: Sequence[tuple[str, int, int, str, str | None]]) -> list[Segment]:
    return [
        segment(who, start, start + length, label=label, emotion=emotion)
        for who, start, length, label, emotion in rows
    ]


@given(drawings, rules, st.sampled_from((0.2, 0.5, 0.8)), st.integers(1, 3), st.booleans())
def test_books_balance_and_boundaries_stay_within_their_members(
    rows: Any, rule: str, min_iou: float, few: int, drop: bool
) -> None:
    drawn = drawn_by(rows)
    options = ConsensusOptions(
        rule=rule, min_iou=min_iou, min_annotators=few, disagreement="drop" if drop else "keep"
    )
    outcomes = judge(drawn, options=options)
    kept = [s for o in outcomes for s in o.kept]
    dropped = [s for o in outcomes for s, _, _ in o.dropped]
    assert len(drawn) == len(kept) + len(dropped)
    assert len({s.segment_id for s in kept}) == len(kept)
    assert sorted(m.segment_id for o in outcomes for m in o.members) == sorted(
        s.segment_id for s in drawn
    )
    for o in outcomes:
        assert len({m.annotator for m in o.members}) == len(o.members)
        assert all(iou(a, b) >= min_iou for a in o.members for b in o.members)
        for made in o.kept:
            assert made.start_ms < made.end_ms
            for name in ("start_ms", "end_ms"):
                times = [getattr(m, name) for m in o.members]
                assert min(times) <= getattr(made, name) <= max(times)


@given(drawings, rules, st.permutations("abcd"), st.randoms(use_true_random=False))
def test_names_and_order_of_annotators_change_nothing(
    rows: Any, rule: str, names: list[str], random: Any
) -> None:
    other = dict(zip("abcd", names, strict=True))
    renamed = [(other[who], *rest) for who, *rest in rows]
    random.shuffle(renamed)
    options = ConsensusOptions(rule=rule)

    def facts(found: Any) -> list[Any]:
        return sorted(
            (s.start_ms, s.end_ms, s.label, s.emotion or "", len(o.members), o.tied)
            for o in judge(drawn_by(found), options=options)
            for s in o.kept
        )

    assert facts(rows) == facts(renamed)


@given(st.integers(0, 10**7), st.integers(1, 10**5), st.integers(2, 6), rules)
def test_the_consensus_of_identical_annotations_is_the_annotation(
    start: int, length: int, number: int, rule: str
) -> None:
    made = one([segment(f"a{k}", start, start + length) for k in range(number)], rule=rule)
    assert (made.start_ms, made.end_ms, made.label) == (start, start + length, "су")


# --------------------------------------------------------------------------- the build

ROWS = (
    # Three annotators mark two signs; one of them sees a third; they differ on the second.
    ("a", 0, 400, "су"), ("b", 30, 430, "су"), ("c", 60, 400, "су"),
    ("a", 600, 1000, "әке"), ("b", 600, 1000, "әпке"),
    ("c", 1300, 1700, "су"),
)  # fmt: skip


def write_recipe(root: Path, rows: Sequence[tuple[str, int, int, str]], extra: str = "") -> Path:
    media = root / "media"
    if not media.is_dir():
        media.mkdir(parents=True)
        record(media / "one.mp4", num_frames=60)
    with (root / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("recording", "gloss", "start", "end", "signer", "annotator"))
        writer.writerows(("one.mp4", label, a, b, "s1", who) for who, a, b, label in rows)
    path = root / "recipe.toml"
    path.write_text(
        f"""name = "several"
[ingest]
media = "media"
annotations = "annotations.csv"
[lexicon]
file = "nspcrsie"
{extra}""",
        encoding="utf-8",
    )
    return path


def ingested(root: Path, rows: Sequence[tuple[str, int, int, str]], extra: str = "") -> Dataset:
    dataset = Dataset(root / "dataset", create=True)
    recipe = recipes.read(write_recipe(root, rows, extra))
    recipes.run_ingest(dataset, recipe)
    recipes.run_validate(dataset, recipes.of(dataset))
    recipes.run_trim(dataset, recipes.of(dataset))
    return dataset


def test_a_build_makes_one_clip_of_what_three_annotators_drew(tmp_path: Path) -> None:
    dataset = ingested(tmp_path, ROWS, '[consensus]\nrule = "mean"\n')
    clips = dataset.clips.sort_values("start_ms")
    assert clips[["start_ms", "end_ms"]].to_numpy().tolist() == [
        [30, 410], [600, 1000], [1300, 1700]
    ]  # fmt: skip
    # 30 frames a second: frame 1 starts at 33 ms, frame 12 at 400 ms.
    assert (clips["first_frame"].iloc[0], clips["last_frame"].iloc[0]) == (1, 12)
    assert dataset.provenance["stages"]["consensus"] == {
        "in": 6, "out": 3, "dropped": 3, "groups": 3
    }  # fmt: skip
    dropped = [d for d in dataset.read("dropped", Dropped) if d.stage == "consensus"]
    assert [d.code for d in dropped] == ["K141"] * 3
    (tie,) = [i for i in dataset.read("issues", Issue) if i.code == "K142"]
    assert "a: әке, b: әпке" in tie.message
    drawn = dataset.read("annotations", DrawnSegment)
    assert {d.consensus_id for d in drawn} == set(dataset.segments["segment_id"])
    assert dataset.verify() > 0

    numbers = json.loads((dataset.root / "reports" / "agreement.json").read_bytes())
    assert numbers["annotators"] == {"a": 2, "b": 2, "c": 2}
    assert numbers["groups_by_annotators"] == {"1": 1, "2": 1, "3": 1}
    assert (numbers["labels"]["compared"], numbers["labels"]["agreed"]) == (2, 1)
    ab = numbers["pairs"][0]
    assert (ab["a"], ab["b"], ab["shared"], ab["same_label"]) == ("a", "b", 2, 1)
    assert ab["start_ms"] == 15  # 30 and 0 apart
    bc = numbers["pairs"][2]
    assert (bc["shared"], bc["only_a"], bc["only_b"], bc["cohen_kappa"]) == (1, 1, 1, None)
    with (dataset.root / "reports" / "agreement.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [r["num_annotators"] for r in rows] == ["3", "2", "1"]
    assert rows[1]["differ_on"] == "label"
    assert [r["not_by"] for r in rows] == ["", "c", "a b"]
    assert [(r["start_ms"], r["said"], r["not_by"]) for r in numbers["missing"]] == [
        (600, "a: әке, b: әпке", "c"), (1300, "c: су", "a, b")
    ]  # fmt: skip

    page = report.report(dataset).read_text(encoding="utf-8")
    assert "is not spelled out" not in page
    assert "a: әке, b: әпке" in page
    assert "Krippendorff" in page
    assert "not marked by all" in page


# Three annotators, worked out by hand: spellings of one sign, segments apart from each other, one
# within another, single frames, and a recording on which the third has drawn nothing.
NAMES = {"a": "Айгүл", "b": "Berik", "c": "Светлана П."}
HARD = (
    ("a", 100, 200, "су"), ("b", 110, 220, "Су"), ("c", 90, 190, "cу"),  # with a Latin c
    ("a", 400, 500, "әке"), ("b", 520, 600, "әке"), ("c", 610, 700, "әке"),
    ("a", 800, 1800, "әке"), ("b", 900, 1100, "әке"), ("c", 800, 1700, "әпке"),
    ("a", 1900, 1933, "су"), ("b", 1900, 1934, "су"), ("c", 1901, 1933, "су"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('rule = "mean"', [(100, 203), (800, 1750), (1900, 1933)]),
        ('rule = "median"', [(100, 200), (800, 1750), (1900, 1933)]),
        ('rule = "weighted"\nweights = { "Айгүл" = 2 }', [(100, 203), (800, 1767), (1900, 1933)]),
    ],
)
def test_what_was_worked_out_by_hand(
    tmp_path: Path, rule: str, expected: list[tuple[int, int]]
) -> None:
    rows = [(NAMES[who], a, b, label) for who, a, b, label in HARD]
    dataset = ingested(tmp_path, rows, f"[consensus]\n{rule}\n")
    segments = dataset.segments.sort_values("start_ms")
    made = segments[segments["annotator"] == "consensus"]
    assert made[["start_ms", "end_ms"]].to_numpy().tolist() == [list(pair) for pair in expected]
    assert set(made["label"].iloc[[0, 2]]) <= {"су", "Су"}  # never the one of two scripts
    alone = segments[segments["annotator"] != "consensus"]
    assert alone[["start_ms", "end_ms"]].to_numpy().tolist() == [
        [400, 500], [520, 600], [610, 700], [900, 1100]
    ]  # fmt: skip
    numbers = json.loads((dataset.root / "reports" / "agreement.json").read_bytes())
    # IoU of the first group: 90/110, 90/120 and 80/130 in its three pairs.
    assert numbers["furthest"][0]["iou"] == round((90 / 110 + 90 / 120 + 80 / 130) / 3, 4)
    assert (numbers["furthest"][0]["start_apart_ms"], numbers["furthest"][0]["end_apart_ms"]) == (
        13.3, 20.0,
    )  # fmt: skip
    # су su su, әке әпке, су su su: n = 8, o = 3 + 3, chance = 6 · 5, and (7 · 6 - 30) / (8 · 7 - 30).
    assert numbers["labels"] == {
        "compared": 3, "agreed": 2, "krippendorff_alpha": round(12 / 26, 4)
    }  # fmt: skip
    assert numbers["missed"] == 5


def test_a_name_that_is_not_spelled_out_is_explained(tmp_path: Path) -> None:
    from kslds.manifest import key_of

    rows = [(NAMES[who], a, b, label) for who, a, b, label in HARD]
    dataset = ingested(tmp_path, rows, '[consensus]\nrule = "mean"\n')
    key = key_of("Айгүл", prefix="annotator")
    page = report.report(dataset).read_text(encoding="utf-8")
    assert f"{key_of('Светлана П.', prefix='annotator')}, {key}: the name has letters" in page
    assert "Айгүл" not in page
    with (dataset.root / "reports" / "agreement.csv").open(encoding="utf-8-sig") as file:
        *_, last = csv.DictReader(file)
    place = dict(zip(last["annotators"].split(), last["sources"].split(" + "), strict=True))[key]
    line = int(place.rpartition(":")[2])
    written = (tmp_path / "annotations.csv").read_text("utf-8").splitlines()[line - 1]
    assert written.endswith("Айгүл")


def test_annotators_who_never_meet_are_compared_in_nothing(tmp_path: Path) -> None:
    rows = [("a", 0, 200, "су"), ("b", 300, 500, "су"), ("c", 600, 800, "әке")]
    dataset = ingested(tmp_path, rows, '[consensus]\nrule = "median"\n')
    assert dataset.segments["annotator"].tolist().count("consensus") == 0
    numbers = json.loads((dataset.root / "reports" / "agreement.json").read_bytes())
    assert (numbers["iou"], numbers["labels"]["krippendorff_alpha"]) == (None, None)
    assert [(p["shared"], p["only_a"], p["only_b"], p["cohen_kappa"]) for p in numbers["pairs"]] == [
        (0, 1, 1, None)
    ] * 3  # fmt: skip
    page = report.report(dataset).read_text(encoding="utf-8")
    assert "No two annotators have drawn the same sign" in page
    assert "To look at: labels differ: none." in page


def test_without_a_rule_everything_is_kept_and_measured(tmp_path: Path) -> None:
    dataset = ingested(tmp_path, ROWS)
    assert len(dataset.segments) == 6
    assert "consensus" not in dataset.provenance["stages"]
    assert (dataset.root / "reports" / "agreement.json").is_file()


def test_one_annotator_leaves_no_trace(tmp_path: Path) -> None:
    plain = ingested(tmp_path, ROWS[3:4])
    before = {p.name: p.read_bytes() for p in (plain.root / "tables").glob("*.parquet")}
    ingested(tmp_path, ROWS, '[consensus]\nrule = "mean"\n')  # another state in between
    again = ingested(tmp_path, ROWS[3:4], '[consensus]\nrule = "mean"\n')
    assert {p.name: p.read_bytes() for p in (again.root / "tables").glob("*.parquet")} == before
    assert "consensus" not in again.provenance["stages"]
    assert not (again.root / "reports" / "agreement.json").exists()
    assert not again.has("annotations")


def test_consensus_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    def everything(dataset: Dataset) -> dict[str, bytes]:
        paths = [*dataset.root.glob("tables/*.parquet"), *dataset.root.glob("reports/agreement.*")]
        return {p.name: p.read_bytes() for p in paths}

    extra = '[consensus]\nrule = "median"\n'
    first = everything(ingested(tmp_path, ROWS, extra))
    assert everything(ingested(tmp_path, ROWS[::-1], extra)).keys() == first.keys()
    assert everything(ingested(tmp_path, ROWS, extra)) == first


def test_a_weight_for_nobody_is_refused(tmp_path: Path) -> None:
    dataset = ingested(tmp_path, ROWS)
    options = ConsensusOptions(rule="weighted", weights={"zoe": 2})
    with pytest.raises(RecipeError, match="'zoe', who has annotated nothing"):
        consensus(dataset, options=options)


def test_the_command_prints_the_numbers(tmp_path: Path) -> None:
    import typer

    from kslds.commands.agreement import agreement

    app = typer.Typer()
    app.command()(agreement)
    dataset = ingested(tmp_path, ROWS, '[consensus]\nrule = "mean"\n')
    result = CliRunner().invoke(app, [str(dataset.root), "--format", "json"])
    assert result.exit_code == 0, result.output
    stored = json.loads((dataset.root / "reports" / "agreement.json").read_bytes())
    assert json.loads(result.stdout) == stored
    result = CliRunner().invoke(app, [str(dataset.root)])
    assert result.exit_code == 0
    assert "cohen_kappa" in result.stdout
