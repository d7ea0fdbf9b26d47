"""What leaves for transformers gives there what it gives here."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from labkit.export import END, export, from_transformers, tokenizer_to_hugging_face
from labkit.functional import rotate
from labkit.gpt import GPT, GPTConfig
from labkit.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer

TEXTS = ["the cat sat on the mat, the hat is flat\n", "猫坐在垫子上。  Two  spaces\tand é 🙂\r\n"]
TOKENIZERS: dict[str, Tokenizer] = {
    "characters": CharTokenizer.train(TEXTS),
    "bytes": ByteTokenizer(),
    "bpe": BPETokenizer.train(TEXTS * 5, 300),
}
THEIRS = {name: tokenizer_to_hugging_face(mine) for name, mine in TOKENIZERS.items()}


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
@given(text=st.text())
def test_any_text_has_the_same_ids_there_and_comes_back(kind: str, text: str) -> None:
    mine, theirs = TOKENIZERS[kind], THEIRS[kind]
    ids = theirs(text.replace(END, ""))["input_ids"]
    assert ids == mine.encode(text.replace(END, ""))
    assert theirs.decode(ids) == text.replace(END, "")


@given(text=st.text(alphabet="".join(sorted(set("".join(TEXTS))))))
def test_characters_have_the_same_ids_there_and_come_back(text: str) -> None:
    mine, theirs = TOKENIZERS["characters"], THEIRS["characters"]
    ids = theirs(text)["input_ids"]
    assert ids == mine.encode(text)
    assert theirs.decode(ids) == text


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_exported_folder_is_read_by_transformers(kind: str, tmp_path: Path) -> None:
    mine = TOKENIZERS[kind]
    sizes = {"context_length": 32, "n_layers": 2, "n_heads": 2, "d_model": 16}
    model = GPT(
        GPTConfig(vocab_size=mine.vocab_size, **sizes), generator=torch.Generator().manual_seed(0)
    ).eval()
    export(model, mine, tmp_path, card="# A small model\n")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor([mine.encode(TEXTS[1])[:30]])
    assert tokenizer(TEXTS[1], return_tensors="pt")["input_ids"][:, :30].equal(ids)
    assert tokenizer.eos_token_id == mine.end == theirs.config.eos_token_id
    torch.testing.assert_close(theirs(ids).logits, model(ids), rtol=0, atol=1e-5)
    assert (tmp_path / "README.md").read_text() == "# A small model\n"


def test_a_model_of_another_shape_leaves_nothing_behind(tmp_path: Path) -> None:
    config = GPTConfig(vocab_size=257, context_length=8, n_layers=1, n_heads=1, d_model=4)
    model = GPT(config, generator=torch.Generator(), turn=rotate)
    with pytest.raises(ValueError, match="got turn rotary"):
        export(model, ByteTokenizer(), tmp_path / "out", card="")
    assert not (tmp_path / "out").exists()


def test_where_the_hub_is_out_of_reach_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no tries for a minute
    with pytest.raises(ConnectionError, match="find labkit/no-such-model on the Hugging Face Hub"):
        from_transformers("labkit/no-such-model")
