"""Which segment a text belongs to, found quickly and compared with a plain search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kslds.transcript import Transcripts

SPAN = st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda pair: (pair[0], sum(pair)))


def overlap(one: tuple[int, int], other: tuple[int, int]) -> int:
    return min(one[1], other[1]) - max(one[0], other[0])


@given(
    texts=st.lists(SPAN, max_size=12),
    spans=st.lists(st.tuples(SPAN, st.booleans()), max_size=8, unique_by=lambda pair: pair[0]),
)
def test_as_a_plain_search_finds(
    texts: list[tuple[int, int]], spans: list[tuple[tuple[int, int], bool]]
) -> None:
    transcripts = Transcripts()
    for number, (start, end) in enumerate(texts):
        transcripts.add("rec", start_ms=start, end_ms=end, text=f"t{number}", source=f"s{number}")
    for (start, end), wants in spans:
        transcripts.expect("rec", "glosses", start_ms=start, end_ms=end, wants=wants)
    belongs: dict[int, tuple[int, int] | None] = {}
    for number, text in enumerate(texts):
        most = max((overlap(text, span) for span, _ in spans), default=0)
        fits = sorted(span for span, _ in spans if overlap(text, span) == most)
        belongs[number] = fits[0] if most > 0 else None
    order = sorted(range(len(texts)), key=lambda n: (texts[n], f"t{n}"))
    for span, _ in spans:
        wanted = " ".join(f"t{number}" for number in order if belongs[number] == span)
        found = transcripts.during("rec", "glosses", start_ms=span[0], end_ms=span[1])
        assert found == (wanted or None)
    free = {span for span, wants in spans if wants}
    assert {source for source, _ in transcripts.unused()} == {
        f"s{number}" for number, span in belongs.items() if span not in free
    }
    assert transcripts.during("other", "glosses", start_ms=0, end_ms=100) is None


def test_glosses_and_sentences_are_told_apart() -> None:
    transcripts = Transcripts()
    transcripts.add("rec", start_ms=0, end_ms=900, text="дом", source="a:1")
    for line, start, end in (("gloss", 0, 300), ("gloss", 300, 900), ("sentence", 0, 2000)):
        transcripts.expect("rec", line, start_ms=start, end_ms=end, wants=True)
    assert transcripts.during("rec", "gloss", start_ms=0, end_ms=300) is None
    assert transcripts.during("rec", "gloss", start_ms=300, end_ms=900) == "дом"
    assert transcripts.during("rec", "sentence", start_ms=0, end_ms=2000) == "дом"


def test_the_same_transcript_in_two_files_is_said_once() -> None:
    transcripts = Transcripts()
    for source in ("lesson1.srt:1", "lesson1.vtt:3"):
        transcripts.add("rec", start_ms=0, end_ms=900, text="дом", source=source)
    transcripts.add("rec", start_ms=900, end_ms=1800, text="дом", source="lesson1.vtt:6")
    transcripts.expect("rec", "", start_ms=100, end_ms=1900, wants=True)
    assert transcripts.during("rec", "", start_ms=100, end_ms=1900) == "дом дом"
    assert not list(transcripts.unused())
