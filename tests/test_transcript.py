"""The texts that overlap a span, found quickly and compared with a plain search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kslds.transcript import Transcripts

SPAN = st.tuples(st.integers(0, 60), st.integers(1, 40)).map(lambda pair: (pair[0], sum(pair)))


@given(texts=st.lists(SPAN, max_size=12), spans=st.lists(SPAN, max_size=6))
def test_as_a_plain_search_finds(
    texts: list[tuple[int, int]], spans: list[tuple[int, int]]
) -> None:
    transcripts = Transcripts()
    for number, (start, end) in enumerate(texts):
        transcripts.add("rec", start_ms=start, end_ms=end, text=f"t{number}", source=f"s{number}")
    met = set()
    for start, end in spans:
        wanted = [
            number
            for number in sorted(range(len(texts)), key=lambda n: (texts[n], f"t{n}"))
            if texts[number][0] < end and start < texts[number][1]
        ]
        met.update(wanted)
        found = transcripts.during("rec", start_ms=start, end_ms=end)
        assert found == (" ".join(f"t{number}" for number in wanted) or None)
    unused = {source for _, source in transcripts.unused()}
    assert unused == {f"s{number}" for number in range(len(texts)) if number not in met}
    assert transcripts.during("other", start_ms=0, end_ms=100) is None


def test_the_same_transcript_in_two_files_is_said_once() -> None:
    transcripts = Transcripts()
    for source in ("lesson1.srt:1", "lesson1.vtt:3"):
        transcripts.add("rec", start_ms=0, end_ms=900, text="дом", source=source)
    transcripts.add("rec", start_ms=900, end_ms=1800, text="дом", source="lesson1.vtt:6")
    assert transcripts.during("rec", start_ms=100, end_ms=1000) == "дом дом"
    assert not list(transcripts.unused())
