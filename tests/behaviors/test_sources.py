"""Files and Hub data sets: what is read, and what each bad file is told."""

import json
import os

import pytest

from caa_nnsight import sources
from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import BehaviorError
from caa_nnsight.sources import HubDataset, read_records, read_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [
    {
        "question": f"Question {i} – ok?\n\nChoices:\n (A) yes {i}\n (B) no {i}",
        "answer_matching_behavior": " (A)" if i % 2 else " (B)",
        "answer_not_matching_behavior": " (B)" if i % 2 else " (A)",
    }
    for i in range(6)
]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def behavior(pairs, **more):
    return Behavior(name="t", description="d", polarity="p", pairs=pairs, **more)


@pytest.mark.parametrize(
    "content",
    [
        JSONL.encode(),
        b"\xef\xbb\xbf" + JSONL.encode(),
        JSONL.replace("\n", "\r\n").encode(),
        ("\n" + JSONL.replace("\n", "\n\n")).encode(),
        json.dumps(ROWS).encode(),
        ("\ufeff  \n" + json.dumps(ROWS, indent=2)).encode(),
    ],
    ids=["jsonl", "byte order mark", "crlf", "blank lines", "array", "indented array with mark"],
)
def test_both_layouts_are_read_whatever_the_file_is_called(tmp_path, content):
    file = tmp_path / "data.txt"
    file.write_bytes(content)
    assert [record for _, record in read_records(file)] == ROWS


def test_line_separator_inside_a_string_does_not_end_the_record(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_text('{"question": "one\u2028two"}\n', encoding="utf-8")
    assert read_records(file) == [(f"{file}:1", {"question": "one\u2028two"})]


def test_places_are_lines_or_items_and_short_inside_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('\n{"x": 1}\n\n{"x": 2}\n')
    (tmp_path / "b.json").write_text('[{"x": 1}, {"x": 2}]')
    assert [where for where, _ in read_records(tmp_path / "a.jsonl")] == ["a.jsonl:2", "a.jsonl:4"]
    assert [where for where, _ in read_records(tmp_path / "b.json")] == [
        "b.json: item 1",
        "b.json: item 2",
    ]


BAD_FILES = {
    "empty": (b"", "{file}: there are no records in it."),
    "empty array": (b"[]", "{file}: there are no records in it."),
    "csv": (
        b"question,answer\nyes,no\n",
        "{file}:1: not JSON (Expecting value at column 1); a file holds one JSON object on each "
        "line, or one JSON array of objects.",
    ),
    "indented object": (
        b'{\n  "question": "x"\n}',
        "{file}:1: not JSON (Expecting property name enclosed in double quotes at column 2); a "
        "file holds one JSON object on each line, or one JSON array of objects.",
    ),
    "broken line": (
        b'{"x": 1}\n{"x": \n',
        "{file}:2: not JSON (Expecting value at column 7).",
    ),
    "broken array": (
        b'[{"x": 1},\n {"x" 2}]',
        "{file}: not JSON (Expecting ':' delimiter at line 2, column 7).",
    ),
    "latin-1": (
        '{"question": "Café?"}'.encode("latin-1"),
        "{file} is not UTF-8 text (byte 17 can't be decoded); save it as UTF-8 JSONL or JSON.",
    ),
    "binary": (
        bytes(range(256)),
        "{file} is not UTF-8 text (byte 128 can't be decoded); save it as UTF-8 JSONL or JSON.",
    ),
    "nested without end": (b"[" * 200_000, "{file}: not usable JSON ("),
    "number beyond reading": (b"[" + b"9" * 5000 + b"]", "{file}: not usable JSON ("),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_told_what_is_wrong_and_where(tmp_path, case):
    content, sentence = BAD_FILES[case]
    file = tmp_path / "data.jsonl"
    file.write_bytes(content)
    with pytest.raises(BehaviorError) as caught:
        read_source(str(file), "T.pairs")
    expected = sentence.format(file=file)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_missing_file_folder_and_special_file_each_have_a_sentence(tmp_path):
    with pytest.raises(BehaviorError, match=r"^There is no file .*/no\.jsonl\.$"):
        read_records(tmp_path / "no.jsonl")
    with pytest.raises(BehaviorError, match=r"is a folder; a JSONL or JSON file is needed here"):
        read_records(tmp_path)
    with pytest.raises(BehaviorError, match=r"can't be read: .*name too long"):
        read_records(tmp_path / ("x" * 5000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BehaviorError, match="is not a regular file"):
        read_records(tmp_path / "pipe")


def test_oversized_file_is_refused_with_its_size_before_it_is_read(tmp_path):
    file = tmp_path / "huge.jsonl"
    with file.open("wb") as handle:
        handle.truncate(sources.MAX_FILE_BYTES + 2**20)
    with pytest.raises(BehaviorError, match=r"has 65 MiB, and files over 64 MiB are not read"):
        read_records(file)


@pytest.mark.parametrize("revision", ["main", "v1.0", "0123456", "", None])
def test_revision_that_can_move_is_refused(revision):
    with pytest.raises(BehaviorError, match=r"which can move; give the full hash of a commit"):
        HubDataset("a/b", revision=revision)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    yield tmp_path
    datasets.enable_progress_bars()


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_datasets_library_reads_a_local_folder(hub_cache, kind):
    folder = hub_cache / "set"
    folder.mkdir()
    renamed = [{"prompt" if k == "question" else k: v for k, v in row.items()} for row in ROWS]
    if kind == "parquet":
        import pandas as pd

        pd.DataFrame(renamed).to_parquet(folder / "train.parquet")
    else:
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in renamed))
    data = HubDataset(str(folder), revision=COMMIT, columns={"question": "prompt"})
    pairs = behavior(data).load_pairs()
    assert [pair.question for pair in pairs] == [row["question"] for row in ROWS]
    assert behavior(data, open_ended=data).load_open_ended()[0].startswith("Question 0")

    plain = HubDataset(str(folder), revision=COMMIT)
    with pytest.raises(BehaviorError, match=r'@01234567 row 1: the key "question" is missing'):
        behavior(plain).load_pairs()
    wrong = HubDataset(str(folder), revision=COMMIT, columns={"question": "q"})
    with pytest.raises(BehaviorError, match=r"has no column 'q' .* its columns are prompt, "):
        behavior(wrong).load_pairs()
    no_split = HubDataset(str(folder), revision=COMMIT, split="test")
    with pytest.raises(BehaviorError, match=r"\(split 'test'\) can't be loaded: Unknown split"):
        behavior(no_split).load_pairs()


def test_hub_arguments_are_passed_on_and_being_offline_is_one_sentence(monkeypatch):
    import datasets

    calls = []

    def unreachable(*args, **kwargs):
        calls.append((args, kwargs))
        raise ConnectionError("Couldn't reach 'a/b' on the Hub\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    data = HubDataset("a/b", revision=COMMIT, path="x/y.jsonl", config="c", split="s")
    with pytest.raises(BehaviorError) as caught:
        behavior(data).load_pairs()
    assert calls == [
        (("a/b", "c"), {"data_files": "x/y.jsonl", "revision": COMMIT, "split": "s"}),
    ]
    assert str(caught.value) == (
        "Data set a/b@01234567/x/y.jsonl can't be fetched, because the Hugging Face Hub can't be "
        "reached from here and no copy is in the cache; connect once, or use files of your own "
        "with `with_data`."
    )
