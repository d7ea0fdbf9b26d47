"""Texts turned into files of ids: nothing lost and nothing twice, whoever does it."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.datasets.prepare import LinesSource, open_source, prepare
from labkit.datasets.shards import TokenShards, open_shards, shard
from labkit.tokenizers import load_tokenizer

WORDS = ["cat", "sat", "mat", "猫", "坐", "é"]


def lines(n: int) -> list[str]:
    """Documents of different lengths, some of them twice."""
    return [
        f"{i % 2500} " + " ".join(WORDS[(i * k) % 6] for k in range(1, 2 + i % 40))
        for i in range(n)
    ]


def source(folder: Path, n: int = 3000) -> Path:
    path = folder / "lines.txt"
    path.write_text("\n".join(lines(n)) + "\n", encoding="utf-8")
    return path


def documents(folder: Path) -> tuple[list[str], list[str]]:
    """What the files of a prepared folder hold, decoded: to learn from, and held out."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    found: tuple[list[str], list[str]] = ([], [])
    for part, shards in zip(found, open_shards(folder), strict=True):
        ids = shards.take(np.arange(len(shards)))
        ends = shards.places(tokenizer.end)
        assert ends.tolist() == np.flatnonzero(ids == tokenizer.end).tolist()
        part += [tokenizer.decode(piece) for piece in np.split(ids, ends + 1) if len(piece)]
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1)),
    size=st.integers(1, 40),
    ending=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
)
def test_stretches_of_any_size_hold_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int, ending: str, last: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes((ending.join(texts) + (ending if last else "")).encode("utf-8"))
    cut = LinesSource(path, stretch=size)
    assert [text for k in range(cut.n_stretches) for text in cut.documents(k)] == texts


def test_every_document_is_in_one_file_whatever_the_workers(tmp_path: Path) -> None:
    path = source(tmp_path)
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        left = list(prepare(str(path), folder, vocab_size=300, workers=workers))
        assert left == [1, 0]
    assert files(tmp_path / "1") == files(tmp_path / "2")
    train, val = documents(tmp_path / "1")
    assert Counter(train + val) == Counter(lines(3000))
    assert not set(train) & set(val)
    assert 0 < len(val) < 100
    assert list(prepare(str(path), tmp_path / "1", vocab_size=300)) == [0]


def test_a_jsonl_file_gives_its_field_text(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    texts = ["one\ntwo", "三"]
    path.write_text("".join(json.dumps({"text": t, "id": 1}) + "\n" for t in texts))
    list(prepare(str(path), tmp_path / "out", vocab_size=260))
    train, val = documents(tmp_path / "out")
    assert sorted(train + val) == sorted(texts)


def test_a_vocabulary_of_none_is_the_characters(tmp_path: Path) -> None:
    path = tmp_path / "docs.txt"
    path.write_text("猫在山洞\n在山顶\n", encoding="utf-8")
    list(prepare(str(path), tmp_path / "out", vocab_size=0))
    tokenizer = load_tokenizer(tmp_path / "out" / "tokenizer.json")
    assert tokenizer.kind == "characters"
    assert tokenizer.vocab_size == len(set("猫在山洞顶")) + 1
    train, val = documents(tmp_path / "out")
    assert sorted(train + val) == ["在山顶", "猫在山洞"]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("docs.jsonl", b'{"words": "one"}', r'JSON with a field "text" on each line of .*docs'),
        ("docs.jsonl", b"one", r'JSON with a field "text".*got b\'one'),
        ("docs.jsonl", b"[1]", r'JSON with a field "text".*mend or drop it'),
        ("lines.txt", b"caf\xe9", r"expected UTF-8 on each line of .*lines\.txt, got b'caf"),
    ],
)
def test_a_line_that_cannot_be_read_is_shown(
    name: str, line: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(line + b"\n")
    with pytest.raises(ValueError, match=message):
        list(prepare(str(tmp_path / name), tmp_path / "out", vocab_size=300))


def test_a_dataset_that_hugging_faces_library_reads(tmp_path: Path) -> None:
    if importlib.util.find_spec("datasets.load") is None:  # our folder has the library's name
        with pytest.raises(ValueError, match="pip install datasets"):
            list(prepare(f"hf:{tmp_path}", tmp_path / "out", vocab_size=300))
        pytest.skip("the extra `hub` is not installed")
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "train.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in lines(500)))
    list(prepare(f"hf:{tmp_path / 'folder'}", tmp_path / "out", vocab_size=300, workers=1))
    train, val = documents(tmp_path / "out")
    assert Counter(train + val) == Counter(lines(500))


def test_a_preparation_that_is_killed_goes_on(tmp_path: Path) -> None:
    path = source(tmp_path, 60_000)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "tests.small_stretches", str(path)]
    subprocess.run([*command, str(whole)], check=True)
    for n in (1, 5):
        process = subprocess.Popen([*command, str(killed)], start_new_session=True)
        while len(list(killed.glob("train-*.npy"))) < n:
            time.sleep(0.01)
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with pytest.raises(ValueError, match=rf"expected \d+ stretches in {killed}, got \d+: the comm"):
        open_shards(killed)
    done = {path: path.stat().st_mtime_ns for path in killed.glob("train-*.npy")}
    subprocess.run([*command, str(killed)], check=True)
    assert done == {path: path.stat().st_mtime_ns for path in done}, "done work was done again"
    assert files(killed) == files(whole)


def test_another_source_or_vocabulary_is_refused(tmp_path: Path) -> None:
    path = source(tmp_path)
    list(prepare(str(path), tmp_path / "out", vocab_size=300))
    with pytest.raises(ValueError, match=r"'vocab_size': 300.*'vocab_size': 301.*use another one"):
        list(prepare(str(path), tmp_path / "out", vocab_size=301))
    path.write_text(path.read_text() + "one more\n")
    with pytest.raises(ValueError, match=r"'size': \d+.*use another one"):
        list(prepare(str(path), tmp_path / "out", vocab_size=300))
    with pytest.raises(FileNotFoundError, match="a file of lines or hf:NAME, got 'nothing'"):
        open_source("nothing")
    with pytest.raises(ValueError, match=r"got no about\.json in"):
        open_shards(tmp_path)


def test_ids_are_found_across_files_and_any_shape(tmp_path: Path) -> None:
    pieces = [np.arange(n, dtype=np.uint16) + start for n, start in ((3, 0), (0, 3), (4, 3))]
    paths = [shard(tmp_path, "train", k) for k in range(3)]
    for path, ids in zip(paths, pieces, strict=True):
        np.save(path, ids)
    shards = TokenShards(paths)
    assert len(shards) == 7
    places = np.array([[6, 0, 2], [3, 5, 3]])
    assert shards.take(places).tolist() == places.tolist()
    assert shards.places(4).tolist() == [4]


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "floats"])
def test_a_damaged_file_is_refused_by_name(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "train-00000.npy"
    np.save(path, np.arange(1000, dtype=np.uint16))
    if damage == "cut":
        os.truncate(path, path.stat().st_size - 1)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "pickle":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    else:
        np.save(path, np.zeros(3))
    with pytest.raises(ValueError, match=rf"expected token ids in {path}, got"):
        TokenShards([path])


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one file of tokens, got none"):
        TokenShards([])
