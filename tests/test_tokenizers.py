"""Text to ids and back: nothing lost, nothing invented, and broken files refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.tokenizers import (
    END_LABEL,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    encode_documents,
    load_tokenizer,
)

ODD = [
    "",
    " ",
    "hello",
    "  two  spaces\n\n\nand\tlines ",
    "\r\n",
    "\r",
    "我爱语言模型。",
    "猫sat在mat上",
    "👩‍👩‍👧‍👦🇨🇳👍🏽",
    "e\u0301 o\u0308 \u1e69 s\u0323\u0307",
    "\0",
    "a\0b",
    "\ufeffmark",
    "\u200f\u202eright to left",
    "<|endoftext|>",
    END_LABEL,
    "\uffff\U0010ffff",
    "0" * 20_000,
    "to be or not to be " * 2_000,
]
SMALL_TEXT = ["to be, or not to be: that is the question", "猫坐在垫子上。"]
MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "characters": lambda: CharTokenizer.train(ODD),
    "bytes": ByteTokenizer,
    "bpe": lambda: BPETokenizer.train(SMALL_TEXT, 290),
    "bpe without merges": lambda: BPETokenizer.train([], 257),
}
BPE = BPETokenizer.train(SMALL_TEXT, 290)


@pytest.fixture(params=MAKERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return MAKERS[request.param]()


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:12]))
def test_odd_strings_come_back_as_they_were(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    for tokenizer in (CharTokenizer.train([text]), ByteTokenizer(), BPE):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert all(0 <= i < tokenizer.end for i in ids)


@given(st.text(), st.text())
def test_characters_and_bytes_of_a_sum_are_the_sum(first: str, second: str) -> None:
    for tokenizer in (CharTokenizer.train([first, second]), ByteTokenizer()):
        both = tokenizer.encode(first) + tokenizer.encode(second)
        assert tokenizer.encode(first + second) == both


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:12]))
def test_the_end_token_is_the_last_id_never_encoded_and_decodes_to_nothing(
    tokenizer: Tokenizer, text: str
) -> None:
    assert tokenizer.end == tokenizer.vocab_size - 1
    ids = tokenizer.encode(text)
    assert tokenizer.end not in ids
    assert tokenizer.decode([tokenizer.end, *ids, tokenizer.end]) == text
    assert tokenizer.label(tokenizer.end) == END_LABEL


def test_ids_outside_the_vocabulary_are_refused_in_both_directions(tokenizer: Tokenizer) -> None:
    for wrong in (-1, tokenizer.vocab_size):
        with pytest.raises(ValueError, match=f"0 to {tokenizer.end}, got {wrong}"):
            tokenizer.decode([0, wrong])


def test_every_token_has_a_label(tokenizer: Tokenizer) -> None:
    labels = [tokenizer.label(token) for token in range(tokenizer.vocab_size)]
    assert all(labels)


def test_a_saved_tokenizer_is_the_same_after_loading(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "词.json"
    tokenizer.save(path)
    loaded = load_tokenizer(path)
    assert type(loaded) is type(tokenizer)
    assert (loaded.vocab_size, loaded.end) == (tokenizer.vocab_size, tokenizer.end)
    for text in ODD:
        assert loaded.encode(text) == tokenizer.encode(text)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_documents_are_joined_with_an_end_before_between_and_after(tokenizer: Tokenizer) -> None:
    end, first, second = tokenizer.end, tokenizer.encode("hello"), tokenizer.encode("猫sat在mat上")
    joined = encode_documents(tokenizer, ["hello", "", "猫sat在mat上"])
    assert joined.tolist() == [end, *first, end, end, *second, end]
    assert joined.dtype == np.int64
    assert encode_documents(tokenizer, []).tolist() == [end]


# --- characters -------------------------------------------------------------------------------


def test_characters_are_numbered_by_code_point() -> None:
    tokenizer = CharTokenizer.train(["bé", "aλ"])
    assert tokenizer.alphabet == "abéλ"
    assert tokenizer.encode("λab") == [3, 0, 1]
    assert (tokenizer.vocab_size, tokenizer.end) == (5, 4)
    assert tokenizer.label(2) == "é"


@pytest.mark.parametrize(("char", "name"), [("z", "'z'.*U\\+007A"), ("猫", "'猫'.*U\\+732B")])
def test_a_character_outside_the_alphabet_is_named(char: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"2 characters.*{name}"):
        CharTokenizer.train(["ab"]).encode(f"a{char}b")


@pytest.mark.parametrize("alphabet", ["aba", ["a", "bc"], ["a", ""]])
def test_an_alphabet_of_anything_but_distinct_characters_is_refused(alphabet: list[str]) -> None:
    with pytest.raises(ValueError, match="distinct single characters"):
        CharTokenizer(alphabet)


# --- bytes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", [0x41]),  # 7 bits: itself
        ("é", [0xC3, 0xA9]),  # U+00E9 = 00011 101001, as 110·00011 10·101001
        ("猫", [0xE7, 0x8C, 0xAB]),  # U+732B = 0111 001100 101011, as 1110·… 10·… 10·…
        ("🙂", [0xF0, 0x9F, 0x99, 0x82]),  # U+1F642 = 000 011111 011001 000010
    ],
)
def test_the_bytes_of_a_character_by_hand(text: str, expected: list[int]) -> None:
    assert ByteTokenizer().encode(text) == expected


def test_part_of_a_character_shows_as_a_replacement_mark() -> None:
    assert ByteTokenizer().decode([0x41, 0xE7, 0x8C]) == "A�"
    assert ByteTokenizer().label(0x41) == "A"
    assert ByteTokenizer().label(0xE7) == "⟨E7⟩"


# --- byte-pair encoding -----------------------------------------------------------------------


def test_merges_by_hand() -> None:
    # A word keeps the space before it, so the words are aab, ␣aab, ␣aab, ␣ab. Pairs:
    #   a·b 4, a·a 3, ␣·a 3        → ab is token 256;   a ab, ␣ a ab, ␣ a ab, ␣ ab
    #   a·ab 3, ␣·a 2, ␣·ab 1      → aab is token 257;  aab, ␣ aab, ␣ aab, ␣ ab
    #   ␣·aab 2, ␣·ab 1            → ␣aab is token 258, and the end of the text 259.
    tokenizer = BPETokenizer.train(["aab aab aab ab"], 260)
    assert [tokenizer.label(token) for token in range(256, 260)] == ["ab", "aab", " aab", END_LABEL]
    (space,) = tokenizer.encode(" ")
    assert tokenizer.encode("aab ab aab") == [257, space, 256, 258]


def test_each_merge_is_one_token_and_a_larger_vocabulary_never_needs_more_tokens() -> None:
    text = "to be, or not to be: that is the question " * 3
    sizes = [257, 260, 270, 280]
    tokenizers = [BPETokenizer.train([text], size) for size in sizes]
    assert [tokenizer.vocab_size for tokenizer in tokenizers] == sizes
    lengths = [len(tokenizer.encode(text)) for tokenizer in tokenizers]
    assert lengths[0] == len(text.encode())
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < lengths[0]


def test_a_text_that_runs_out_of_pairs_gives_a_smaller_vocabulary() -> None:
    # The words aab, ␣aab and ␣ab are all whole after four merges: ab, aab, ␣aab, ␣ab.
    tokenizer = BPETokenizer.train(["aab aab aab ab"], 1000)
    assert tokenizer.vocab_size == 256 + 4 + 1
    assert BPETokenizer.train([], 1000).vocab_size == 257


def test_a_vocabulary_without_room_for_all_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 257 tokens, got 256"):
        BPETokenizer.train(["text"], 256)


TRAIN_AND_SAVE = """
import sys
from pathlib import Path
from labkit.tokenizers import BPETokenizer
texts = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
BPETokenizer.train(texts, 320).save(Path(sys.argv[2]))
"""


def test_two_processes_learn_the_same_merges(tmp_path: Path) -> None:
    # Ties abound in this text: every pair of letters occurs equally often.
    text = "\n".join(f"{a}{b} {b}{a}{b}" for a in "abcdefgh" for b in "abcdefgh")
    (tmp_path / "text").write_text(text, encoding="utf-8")
    for run in ("one", "two"):
        files = [str(tmp_path / "text"), str(tmp_path / run)]
        command = [sys.executable, "-c", TRAIN_AND_SAVE, *files]
        subprocess.run(command, check=True, timeout=120)
    BPETokenizer.train(text.splitlines(), 320).save(tmp_path / "here")
    saved = {(tmp_path / run).read_bytes() for run in ("one", "two", "here")}
    assert len(saved) == 1


# --- broken files -----------------------------------------------------------------------------

NO_BYTES = json.dumps({"model": {"type": "BPE", "vocab": {}, "merges": []}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a saved tokenizer"),
        (b"{", "not a saved tokenizer"),
        (b"[]", "not a saved tokenizer"),
        (b"\xff\xfe", "not a saved tokenizer"),
        (b'{"content": "ab"}', "'kind'"),
        (b'{"kind": "characters"}', "'content'"),
        (b'{"kind": "characters", "content": 5}', "not a saved tokenizer"),
        (b'{"kind": "characters", "content": "aa"}', "distinct"),
        (b'{"kind": "bpe", "content": 5}', "not a saved tokenizer"),
        (b'{"kind": "bpe", "content": "{}"}', "not a saved tokenizer"),
        (json.dumps({"kind": "bpe", "content": NO_BYTES}).encode(), "256 bytes"),
        (b'{"kind": "words", "content": []}', "characters, bytes or bpe, got 'words'"),
    ],
)
def test_a_broken_file_is_refused_with_its_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_tokenizer(path)
    assert "broken.json" in str(caught.value)


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    BPE.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.json"):
            load_tokenizer(path)


def test_a_missing_file_is_missing_and_not_broken(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path / "nowhere.json")
