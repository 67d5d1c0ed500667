"""Every code that a finding or a dropped row may have; `docs/codes.md` is made from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Code:
    """The meaning of one stable code."""

    severity: str
    title: str
    meaning: str
    action: str


CODES: dict[str, Code] = {}
"""Every code, in order; `docs/codes.md` is generated from it."""


def _code(code: str, severity: str, title: str, meaning: str, action: str) -> None:
    if code in CODES:
        raise ValueError(f"the code {code} is taken")
    CODES[code] = Code(severity=severity, title=title, meaning=meaning, action=action)


def _error(code: str, title: str, meaning: str, action: str) -> None:
    _code(code, "error", title, meaning, action)


def _warning(code: str, title: str, meaning: str, action: str) -> None:
    _code(code, "warning", title, meaning, action)


def _info(code: str, title: str, meaning: str, action: str) -> None:
    _code(code, "info", title, meaning, action)


# K1: reading recordings and annotations
_error(
    "K101",
    "unreadable recording",
    "ffmpeg cannot open the file.",
    "Copy it again from the camera; a file without its index needs repair.",
)
_error(
    "K102",
    "no video",
    "The file opens but holds no video stream or frame, or pictures of over 8192 × 8192 pixels.",
    "Remove it from the media folder or name the right file; make giant pictures smaller.",
)
_error(
    "K103",
    "missing recording",
    "An annotation names a file that is not there.",
    "Put the file into the media folder or correct the name in the annotations.",
)
_error(
    "K104",
    "outside the media folder",
    "A path or link leaves the media folder.",
    "Copy the file into the media folder.",
)
_info(
    "K105",
    "same bytes twice",
    "Two files hold the same bytes; they are one recording.",
    "Nothing, or delete one of them.",
)
_error("K106", "empty file", "The file has no bytes.", "Copy it again.")
_error(
    "K107",
    "not a recording",
    "The file is a playlist, a text or another kind of data.",
    "Remove it; playlists are never followed.",
)
_warning(
    "K108",
    "damaged recording",
    "The file ends early or holds packets that do not decode.",
    "Copy it again; segments in the lost part are dropped.",
)
_info(
    "K109",
    "recording without segments",
    "No annotation names this recording.",
    "Annotate it or remove it.",
)
_warning(
    "K110",
    "personal data in the container",
    "The container carries a capture date, a device name or a location; none is carried on.",
    "Nothing; strip the raw files before you hand them out.",
)
_error(
    "K111",
    "time is not a number",
    "A boundary cannot be read in its unit.",
    "Correct the cell that is named.",
)
_error("K112", "reversed segment", "The end is before the start.", "Swap or correct them.")
_error(
    "K113",
    "empty segment",
    "Start and end are the same, or no frame lies between.",
    "Widen the segment.",
)
_error(
    "K114",
    "outside the recording",
    "A boundary lies more than one frame outside the recording.",
    "Check the unit, the frame rate it was annotated at, and the file.",
)
_warning(
    "K115",
    "clipped at the edge",
    "A boundary lay up to one frame outside the recording and was moved to its edge.",
    "Nothing.",
)
_warning(
    "K116",
    "decimal comma",
    "A time was written with a comma and read as a point.",
    "Write a point.",
)
_error(
    "K117",
    "lost in the damaged part",
    "The segment lies in a part that the damaged file no longer holds.",
    "Copy the file again.",
)
_error(
    "K118",
    "segment without a label",
    "The row has neither a label nor a sentence.",
    "Fill in the label.",
)
_warning(
    "K119",
    "row twice",
    "The same segment with the same labels is listed twice.",
    "Delete one of the rows.",
)
_error(
    "K120",
    "boundary without a time",
    "An ELAN time slot has no value and none follows from its neighbours.",
    "Align the annotation in ELAN.",
)
_error(
    "K121",
    "ambiguous file name",
    "Several files of this name exist in the media folder.",
    "Write the path relative to the media folder.",
)
_error(
    "K122",
    "file name is not UTF-8",
    "The bytes of a file name are not UTF-8 text, so that no table can hold it.",
    "Rename the file.",
)
_error(
    "K123",
    "unreadable annotation file",
    "An annotation file among others is damaged or of another kind.",
    "Open it in the program that wrote it and save it again, or restore a backup.",
)
_error(
    "K124",
    "unreadable row",
    "A row has more cells than the header, so that it is not known which is which.",
    "Put quotation marks around a cell that holds the separator itself.",
)
_error(
    "K125",
    "timestamps cannot be trusted",
    "The times of the container go back, or are not those of its decoder.",
    "Convert the recording to MP4 and look at the result; separate recordings that were joined.",
)
_error(
    "K126",
    "unreadable folder",
    "A folder cannot be listed; nothing in it is read.",
    "Give yourself the right to read it, or take it out.",
)
_warning(
    "K127",
    "the collection contradicts itself",
    "Two files or columns of a collection do not agree on the row.",
    "Nothing where the row is used: the message says which was followed. Otherwise choose with "
    "the adapter's options.",
)
_warning(
    "K129",
    "poses cannot be used",
    "A pose file is damaged, of other length, or names other points than the first.",
    "Make the poses again from this recording, all with the same model.",
)
_warning(
    "K130",
    "poses are missing",
    "Recordings have no poses, a pose file is not named after one recording, or files of single "
    "frames are missing.",
    "Name each pose file after its recording. Where there are no poses, nothing is seen (NaN).",
)
_warning(
    "K131",
    "duration disagrees with metadata",
    "The metadata of the collection state another duration than the recording has.",
    "Nothing; the timestamps of the recording count. Look at its frame rate if it plays too fast.",
)
_error(
    "K132",
    "two sources disagree",
    "A file name and the metadata, or a file name and its folders, say different things.",
    "Find out which is right and correct the other.",
)
_info(
    "K133",
    "incomplete sentence",
    "A sentence has no glosses or no translation in the annotation files.",
    "Nothing, or add it to the file.",
)
_warning(
    "K134",
    "signer written in several ways",
    "Names that differ only by letter case, blanks or dots were taken for one signer.",
    "Write a signer one way; give two people names that differ otherwise.",
)
_warning(
    "K135",
    "withdrawn signer not found",
    "The file of signers withdraws somebody whom no annotation names.",
    "Is the name written as in the annotations? If the rows are gone, all is well.",
)
_warning(
    "K136",
    "signer not listed",
    "Annotations name a signer whom the file of signers does not list.",
    "Is the name written as in the file? Add the signer, with what they consented to.",
)
_info(
    "K137",
    "transcript beside all segments",
    "No segment lasts while this part of a transcript is said, or the one that it overlaps most "
    "has a translation of its own.",
    "Nothing, or make segments of such parts: see the adapter's options.",
)
_warning(
    "K139",
    "recording of somebody who withdrew",
    "An earlier build knew this recording, maybe under another name, as one of a signer who has "
    "withdrawn consent since; now its rows name others.",
    "Watch it. Correct the signer of its rows, or delete the recording if the signer is seen.",
)
_info(
    "K141",
    "merged into a consensus segment",
    "Several annotators drew this segment; one segment stands for all of theirs.",
    "Nothing; the table `annotations` keeps what each of them drew.",
)
_warning(
    "K142",
    "annotators disagree",
    "As many annotators say one label (or emotion) as say another.",
    "Decide with them which it is, and correct the annotations.",
)
_info(
    "K143",
    "too few annotators",
    "Fewer annotators drew the segment than `min_annotators` under [consensus] asks for.",
    "Have it annotated by others too, or lower the number.",
)
# K2: cutting and rendering
_error(
    "K201",
    "frames do not decode",
    "Frames of the clip could not be decoded.",
    "Copy the recording again.",
)
_error(
    "K202",
    "no frame in the span",
    "No frame starts inside the span.",
    "Widen the segment.",
)
_error(
    "K203",
    "picture too long and narrow",
    "Scaled with this fit, a side of the clip would exceed 8192 pixels.",
    'Crop the recording, or use `fit = "pad"`.',
)
_error(
    "K204",
    "box outside the picture",
    "The box to cut out does not lie in the picture, or no inset was found in it.",
    "State a box that fits: `crop = [left, top, width, height]`, in displayed pixels.",
)
# K3: validation
_error(
    "K301",
    "unknown label",
    "The label is not in the lexicon.",
    "Correct it, add it to the lexicon, or set `unknown` in the recipe.",
)
_info(
    "K302",
    "matched by a look-alike",
    "The label matched only without letter case, by look-alike letters or by its ASCII form.",
    "Correct the spelling, or declare it as an alias of the entry.",
)
_warning(
    "K303",
    "mixed scripts",
    "A word mixes Cyrillic and Latin letters.",
    "Retype it on one keyboard layout.",
)
_error(
    "K304",
    "ambiguous label",
    "The label matches several entries of the lexicon.",
    "Use the entry's gloss_id, or declare the label as an alias of one of them.",
)
_error(
    "K305",
    "lexicon collision",
    "Two lexicon entries share a gloss_id, a Kazakh spelling or an alias.",
    "Make the entries distinct, as ат (жылқы) and ат (есім), or declare one a variant "
    "(variant_of) or a synonym (synonym_of) of the other.",
)
_error(
    "K306",
    "bad lexicon entry",
    "A lexicon row has a value that is not allowed.",
    "Correct the row that is named.",
)
_warning(
    "K311",
    "overlap on one tier",
    "Two segments of one tier overlap in time.",
    "Correct the boundaries if they are meant to follow each other.",
)
_warning(
    "K312",
    "implausibly short",
    "The segment is shorter than a sign can be.",
    "Check its boundaries and unit.",
)
_warning(
    "K313",
    "implausibly long",
    "The segment is longer than a sign should be.",
    "Check its boundaries and unit, or whether it is a sentence.",
)
_error(
    "K321",
    "missing signer",
    "The segment names no signer, or one that the table of signers does not list.",
    "Fill in the signer; no split by signer is possible without.",
)
_warning(
    "K322",
    "too few signers",
    "A class is signed by fewer than two signers.",
    "Record more signers: the class cannot be on both sides of a split by signer.",
)
_warning(
    "K323",
    "no consent to publish",
    "The signer has no recorded consent to publication.",
    "Record the consent; publishing stops until then.",
)
_error(
    "K324",
    "consent withdrawn",
    "The signer has withdrawn consent.",
    "Where clips remain, build again; rows that were dropped need nothing.",
)
_warning(
    "K325",
    "signer looks like a name",
    "The key of a signer could be the name of a person.",
    "Use pseudonyms such as subject_07: what is published shows the keys of signers.",
)
_error(
    "K331",
    "clip missing or damaged",
    "A rendered clip is missing, or its bytes changed.",
    "Run `kslds resize` again.",
)
# K4: splits
_error(
    "K401",
    "clip without a side",
    "The split list does not name the signer, the collection publishes no side of the clip, or its "
    "frames are on the side `test` with another label.",
    "Add the signer to the list, or split by another rule.",
)
_error(
    "K402",
    "split leak",
    "A signer, recording or identical clip is on two sides.",
    "Correct the list; look for a recording with two signers or a copied clip.",
)
_warning(
    "K403",
    "class on one side only",
    "A class of one side does not occur on the other.",
    "Record more signers for the class, or leave it out.",
)
_warning(
    "K404",
    "listed signer unknown",
    "The split list names a signer of whom there is no clip.",
    "Check the spelling in the list, or whether the signer's clips were dropped.",
)
_warning(
    "K405",
    "split is not signer-independent",
    "The split is not made by signers, so that they may be on several sides.",
    "Say so with every result; for results on unseen signers split by signer.",
)
_warning(
    "K406",
    "count differs from the published one",
    "The dataset does not have as many clips, signers or classes as its recipe expects.",
    "Look for missing files and dropped rows, and say so with every result.",
)
_info(
    "K407",
    "published sides not followed",
    "The annotations name the side on which the collection publishes clips; the split is another.",
    'Nothing, if you want a split of your own; `[split] by = "published"` repeats that one.',
)
# K5: lexicon files
_warning(
    "K501",
    "entry without a source",
    "The entry does not say where the sign is attested.",
    "Fill in the column `source`.",
)
_info(
    "K502",
    "kept apart",
    "Spellings of different entries differ only in letter case, separators, ё and е, or letters "
    "that have one ASCII form.",
    "Nothing; labels written exactly so find each its own entry, others may be ambiguous.",
)
_info(
    "K503",
    "spelling of several entries",
    "One spelling belongs to several entries: a homograph of two languages, or a translation "
    "that they share.",
    "Nothing, if labels use another column; a label that is written so is ambiguous.",
)
_warning(
    "K504",
    "incomplete minimal pair",
    "Of a minimal pair one entry does not name the other, or does not say whether it may be "
    "mirrored.",
    "Fill in `minimal_pairs` and `mirror_safe` in both entries.",
)
_warning(
    "K505",
    "lexicon without a version",
    "No file states name, version, date and licence of the lexicon.",
    "Write them into the TOML file that is named.",
)
_warning(
    "K506",
    "letters of another alphabet",
    "A spelling has letters that its language does not have, or is not the Latin spelling of "
    "the Kazakh one.",
    "Check whether columns were exchanged; correct the spelling.",
)
# K6: audit of published annotations
_warning(
    "K601",
    "labels that folding merges",
    "Labels differ by letter case or ё alone; tools that fold them make one class of two.",
    "Keep them apart by their exact spelling, or merge them on purpose if they are one sign.",
)
_warning(
    "K602",
    "same label in two scripts",
    "Labels look the same and are spelled with letters of different scripts.",
    "Retype one of them on the keyboard layout of the other.",
)
_warning(
    "K603",
    "invisible character",
    "A label has a character that is not seen, such as a zero-width space.",
    "Delete the character; the code point is named.",
)
_info(
    "K604",
    "not in normal form",
    "A label is not in Unicode normal form C, so that equal labels may compare as different.",
    "Write the file in NFC; kslds does so when it reads.",
)
_info(
    "K605",
    "blanks in a label",
    "A label begins or ends with a blank, or has two in a row.",
    "Delete them; kslds does so at the ends when it reads.",
)
_info(
    "K606",
    "nearly the same label",
    "Labels are one letter apart: two signs, or one misspelled.",
    "Compare them; correct the one that is a slip.",
)
_info(
    "K607",
    "labels that differ by punctuation",
    "Labels differ by punctuation or spacing alone.",
    "Decide whether they are one sign; if so, write them alike.",
)
_error(
    "K608",
    "key twice",
    "Two rows of one file have the same key, so that a tool that looks rows up loses one.",
    "Give every row a key of its own, or delete the copy.",
)
_warning(
    "K609",
    "keys taken for each other",
    "Keys differ by letter case, leading zeros or a prefix alone; they may name one recording.",
    "Compare keys as whole texts; check whether the rows share a recording.",
)
_error(
    "K610",
    "same sign and signer on two sides",
    "The same signer makes the same sign on two sides of the split.",
    "Split by signer; scores on such a split say little about new signers.",
)
_warning(
    "K611",
    "one signer dominates",
    "One signer has more than a tenth of the rows and five times an equal share.",
    "Weigh signers when you train, and report results per signer.",
)
_warning(
    "K612",
    "row without a side",
    "The row is on no side although others are.",
    "Give it a side or say why it has none.",
)
_info(
    "K613",
    "no split",
    "No file says which rows are for training and which for testing.",
    "Publish a split by signer, so that results can be compared.",
)
# K7: merging datasets
_info(
    "K701",
    "recording in two corpora",
    "Two datasets hold the same bytes; the recording of the one that comes first by name stays.",
    "Nothing.",
)
_warning(
    "K702",
    "one recording, two signers",
    "A recording or clip that is in two datasets has a signer of its own in each.",
    "If they are one person, say so in the table of the same signers: else that person may be on "
    "two sides of a split.",
)
_warning(
    "K703",
    "sign not mapped",
    "The table of signs has no row for this sign, and `unmapped` says to leave it out.",
    "Add a row, or keep what is not mapped.",
)
_info(
    "K704",
    "clip in two corpora",
    "Clips of two datasets have the same frames; the one that comes first by name stays.",
    "Nothing.",
)
_warning(
    "K705",
    "mapped sign unknown",
    "The table of signs maps a sign of which no clip crosses.",
    "Check the spelling in the table, or whether the sign's clips were dropped.",
)
_warning(
    "K706",
    "licences do not combine",
    "Recordings are under licences that hardly let them be passed on as one work.",
    "Ask those who hold the rights, or keep the datasets apart. kslds cannot give legal advice.",
)
_warning(
    "K707",
    "licence not known",
    "The licence is not stated, so that the clips may not be passed on; or it is not one whose "
    "terms kslds knows, and whether it goes with the licences of the other datasets is not known.",
    "State it in the recipe of the dataset, by its SPDX identifier if it has one.",
)
_warning(
    "K708",
    "one recording, two labels",
    "A recording or clip that is in two datasets shows another sign in each; the label of the one "
    "that comes first by name stays.",
    "Watch it and correct the wrong label, or say in the table of signs that the two are one sign.",
)
_warning(
    "K709",
    "recordings that show the same",
    "Recordings of two datasets are one, made smaller, cut, encoded anew or mirrored. So may those "
    "of a dataset be that was merged before.",
    'Watch both. Set similar to "drop" to keep one; if both stay, say in the table of the same '
    "signers who is one person: else that person may be on two sides of a split.",
)
_warning(
    "K710",
    "licence asks for less",
    "The recipe of a merged dataset states a licence that asks for less than the recordings' own, "
    "or for some that are without one.",
    "State the one that the recordings have together, or ask those who hold the rights.",
)
_warning(
    "K711",
    "poses do not go together",
    "Datasets have poses of other points, or of other numbers for a point, and the merged dataset "
    "has none; or of a recording that two datasets have, that which stays is without poses.",
    "Make the poses of all recordings with the same model, and build the datasets again.",
)
_info(
    "K712",
    "clips not compared",
    "Clips are too short to be compared with those of other datasets, or nothing moves in them: "
    "only copies with the same bytes or frames are found of these.",
    "Nothing, or see to it that the datasets do not share recordings.",
)


def code_table() -> str:
    """A Markdown table of every code."""
    lines = ["| code | severity | title | meaning | what to do |", "|---|---|---|---|---|"]
    lines += [
        f"| `{code}` | {c.severity} | {c.title} | {c.meaning} | {c.action} |"
        for code, c in CODES.items()
    ]
    return "\n".join(lines) + "\n"
