"""The attention viewer's numbers: what it packs, says of heads, and reads from models."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, GPT2LMHeadModel

from labkit.checkpoints import to_hugging_face
from labkit.gpt import GPT, GPTConfig
from labkit.tokenizers import ByteTokenizer
from labkit.training.recipe import Recipe, new_model
from labkit.viz import Attentions, AttentionViewer, attention, read_attention
from viewers.heads import bad_rows, entropy_of_heads, induction_mask, scores_of_heads
from viewers.viewer import HERE, script

TEXT = "abcabc <b>é猫"
HOSTILE = ["<b>", "</script>", "שלום", "👨‍👩‍👧", "⟨80⟩", '"', "\\", "\n", ""]


def random_weights(*shape: int, causal: bool = False, seed: int = 0) -> Any:
    """Weights as a softmax makes them, float32."""
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2
    if causal:
        scores = scores.masked_fill(torch.ones(shape[-2:]).triu(1) > 0, -torch.inf)
    return scores.softmax(-1).numpy()


def unpacked(viewer: AttentionViewer) -> Any:
    """Weights as the script reads them, by the shapes in `meta` alone."""
    meta = viewer.meta
    kind, unit = ("<f4", 1) if meta["kind"] == "f4" else ("<u2", 65535)
    flat = np.frombuffer(viewer.weights, kind).astype(np.float64) / unit
    full = np.zeros((meta["layers"], meta["heads"], meta["T"], meta["S"]))
    if meta["triangle"]:
        rows, columns = np.tril_indices(meta["T"])
        full[..., rows, columns] = flat.reshape(meta["layers"], meta["heads"], -1)
        return full
    return flat.reshape(full.shape)


@pytest.mark.parametrize("causal", [True, False])
def test_what_travels_is_within_a_hundred_thousandth(causal: bool) -> None:
    weights = random_weights(2, 3, 7, 7, causal=causal)
    viewer = attention(weights, list("abcdefg"))
    assert viewer.meta["triangle"] is causal
    assert np.abs(unpacked(viewer) - weights).max() < 1e-5
    assert len(viewer.weights) == 2 * 2 * 3 * (28 if causal else 49)


def test_a_difference_keeps_its_sign() -> None:
    texts = [Attentions(random_weights(1, 2, 4, 4, seed=s), *[tuple("abcd")] * 2) for s in (1, 2)]
    change = texts[0].minus(texts[1])
    viewer = attention(change)
    assert viewer.meta["signed"]
    assert viewer.meta["problems"] == ""
    assert np.abs(unpacked(viewer) - change.weights).max() < 1e-7
    assert list(viewer.meta["scores"]) == ["change"]


def test_tokens_that_differ_are_both_shown() -> None:
    mine, theirs = (
        Attentions(random_weights(1, 1, 2, 2), ("a", word), ("a", word)) for word in ("b", "c")
    )
    assert mine.minus(theirs).queries == ("a", "b / c")
    with pytest.raises(ValueError, match="as many layers, heads and tokens"):
        mine.minus(Attentions(random_weights(1, 1, 3, 3), ("a",) * 3, ("a",) * 3))


@pytest.mark.parametrize(("T", "most"), [(64, 0.7e6), (128, 1e6), (512, 1e6)])
def test_payloads_stay_small(T: int, most: float) -> None:
    one = random_weights(1, 1, T, T, causal=True)
    viewer = attention(np.broadcast_to(one, (12, 12, T, T)), [str(i) for i in range(T)])
    sent = len(viewer.weights) + len(viewer.thumbs) + len(json.dumps(viewer.meta))
    assert sent + len(script("weights.js", "attention.js")) < most
    assert viewer.meta["thumbs"] is (T > 64)


def test_a_head_that_was_not_sent_is_sent_when_asked_for() -> None:
    weights = random_weights(12, 12, 128, 128, causal=True)
    viewer = attention(weights, ["x"] * 128, layer=3, head=5)
    assert viewer.meta["first"] == [3, 5]
    rows, columns = np.tril_indices(128)
    for head, expected in [(7, weights[2, 7]), (-1, weights[2].mean(axis=0))]:
        answer = viewer.answer({"ask": [2, head]})
        assert answer is not None
        assert answer[0] == {"head": [2, head]}
        found = np.frombuffer(answer[1][0], "<u2") / 65535
        assert np.abs(found - expected[rows, columns]).max() < 1e-5


def test_small_pictures_keep_the_largest_of_what_falls_together() -> None:
    weights = random_weights(12, 12, 128, 128)
    small = np.frombuffer(attention(weights, ["x"] * 128).thumbs, "i1").reshape(12, 12, 32, 32)
    expected = weights.reshape(12, 12, 32, 4, 32, 4).max(axis=(3, 5))
    assert np.abs(small / 127 - expected).max() <= 0.5 / 127 + 1e-6


def test_rows_that_cannot_be_attention_are_named() -> None:
    weights = np.full((1, 2, 3, 3), 1 / 3, dtype=np.float32)
    weights[0, 0, 1] = [0.5, 0.2, 0.1]
    weights[0, 1, 0, 0] = np.nan
    weights[0, 1, 2] = [-0.5, 1, 0.5]
    viewer = attention(weights, ["<b>", "猫", " "])
    assert viewer.meta["bad"] == [(0, 0, 1), (0, 1, 0), (0, 1, 2)]
    told = viewer.meta["problems"]
    assert "layer 0, head 0, query 猫 (1) adds to 0.8" in told
    assert "layer 0, head 1, query <b> (0) holds a number that is not finite" in told
    assert "query ␣ (2) holds a negative weight" in told
    assert np.isfinite(unpacked(viewer)).all()
    assert bad_rows(random_weights(2, 2, 9, 9)) == []


def test_scores_of_heads_that_do_one_thing() -> None:
    tokens = list("abcabc")
    previous = np.eye(6, k=-1)
    previous[0, 0] = 1
    follows = np.zeros((6, 6))
    follows[range(6), [0, 0, 0, 1, 2, 3]] = 1
    first = np.zeros((6, 6))
    first[:, 0] = 1
    heads = np.stack([previous, follows, first, np.eye(6)])[None].astype(np.float32)
    scores = scores_of_heads(heads, tokens)
    assert scores["previous token"][0] == pytest.approx([1, 0.2, 0.2, 0])
    assert scores["induction"][0] == pytest.approx([0, 1, 0, 0])
    assert scores["first token"][0, 2] == 1
    assert scores["itself"][0, 3] == 1
    assert entropy_of_heads(heads)[0] == pytest.approx(np.zeros(4), abs=1e-6)
    even = np.full((1, 1, 8, 8), 1 / 8)
    assert entropy_of_heads(even)[0, 0] == pytest.approx(3)
    assert "induction" not in scores_of_heads(heads, list("abcdef"))
    assert not induction_mask(list("aab"))[1, 1]  # what follows is the token itself


def test_a_labkit_model_shows_what_transformers_computes() -> None:
    config = GPTConfig(vocab_size=257, context_length=32, n_layers=3, n_heads=2, d_model=8)
    model = GPT(config, generator=torch.Generator().manual_seed(0)).train()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    blocks: list[Any] = list(model.blocks)
    before = [block.attention.attend for block in blocks]
    seen = read_attention(model, TEXT, ByteTokenizer())
    theirs: Any = to_hugging_face(model).eval()
    theirs.set_attn_implementation("eager")
    ids = torch.tensor([ByteTokenizer().encode(TEXT)])
    expected = theirs(ids, output_attentions=True).attentions
    assert len(seen.weights) == 3
    for mine, other in zip(seen.weights, expected, strict=True):
        torch.testing.assert_close(torch.tensor(mine), other[0], rtol=0, atol=1e-5)
    assert [block.attention.attend for block in blocks] == before
    assert model.training
    assert seen.queries[-1] == "⟨AB⟩"  # the last of 猫's three bytes


def test_modern_parts_are_read_too() -> None:
    recipe = Recipe(
        data="", max_steps=1, batch_size=1, context_length=32, n_layers=2, n_heads=2, d_model=8
    )
    model = new_model(recipe, ByteTokenizer())
    rotary = GPT(
        model.config, generator=torch.Generator().manual_seed(0), turn=lambda x, places: -x
    )
    for one in (model, rotary):
        seen = read_attention(one, TEXT, ByteTokenizer())
        assert np.abs(seen.weights.sum(-1) - 1).max() < 1e-5


class Words:
    """As little of a Hugging Face tokenizer as a viewer needs."""

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(c) % 50 for c in text]}

    def decode(self, ids: list[int]) -> str:
        return f"<{ids[0]}>"


def test_an_encoder_looks_both_ways_and_keeps_its_attention() -> None:
    config = BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
    )
    model = BertModel(config).train()
    was = model.config._attn_implementation
    seen = read_attention(model, "hello", Words())
    assert seen.weights.shape == (2, 2, 5, 5)
    assert not attention(seen).meta["triangle"]
    assert model.config._attn_implementation == was
    assert model.training


def test_a_causal_model_of_transformers_is_read() -> None:
    config = GPTConfig(vocab_size=50, context_length=9, n_layers=1, n_heads=2, d_model=4)
    model = to_hugging_face(GPT(config, generator=torch.Generator().manual_seed(0)))
    assert isinstance(model, GPT2LMHeadModel)
    viewer = attention(model, "hello", Words())
    assert viewer.meta["triangle"]
    assert viewer.meta["queries"][0] == "<4>"


def test_across_two_texts() -> None:
    viewer = attention(random_weights(2, 1, 3, 5), ["je", "t'", "aime"], keys=list("abcde"))
    assert (viewer.meta["T"], viewer.meta["S"]) == (3, 5)
    assert list(viewer.meta["scores"]) == ["entropy"]
    layers = [torch.tensor(random_weights(1, 2, 3, 3)) for _ in range(4)]
    assert attention(layers, "abc").meta["layers"] == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((np.ones((2, 2, 3, 3)), ["a", "b"]), r"2 queries, 2 keys\), got \(2, 2, 3, 3\)"),
        ((np.ones((2, 3, 3)), ["a", "b", "c"]), r"got \(2, 3, 3\)"),
        ((np.ones((0, 1, 1, 1)), ["a"]), r"got \(0, 1, 1, 1\)"),
        ((torch.nn.Linear(2, 2), "a"), "a text and the model's tokenizer"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        attention(*arguments)


def test_a_head_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2 layers and 3 heads, got \(1, 3\)"):
        attention(random_weights(2, 3, 4, 4), list("abcd"), layer=1, head=3)


def test_a_model_without_attention_is_refused() -> None:
    with pytest.raises(TypeError, match="pass them as an array"):
        attention(torch.nn.Linear(2, 2), "a", ByteTokenizer())


@pytest.mark.parametrize("T", [1, 2048])
def test_one_token_and_two_thousand(T: int) -> None:
    viewer = attention(random_weights(1, 1, T, T, causal=True), ["a"] * T)
    assert len(viewer.weights) == T * (T + 1) if T > 1 else 2
    assert viewer.meta["bad"] == []


def test_the_file_needs_nothing_and_holds_no_markup(tmp_path: Path) -> None:
    viewer = attention(random_weights(1, 1, 9, 9), HOSTILE, title="<i>Who</i> & whom")
    page = viewer.to_html(tmp_path / "attention.html").read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"']+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, which nothing is fetched from
    assert page.count("<script") == page.count("</script>") == 2
    assert "<b>" not in page
    assert "<i>" not in page
    state = re.search(r'<script id="state" type="application/json">(.*?)</script>', page, re.S)
    assert state
    kept = json.loads(state[1])
    assert kept["meta"]["queries"][1] == "</script>"
    assert base64.b64decode(kept["weights"]["bytes"]) == viewer.weights


def test_the_page_is_sent_to_a_view_that_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = attention(random_weights(1, 1, 2, 2), "ab")
    sent: list[Any] = []
    monkeypatch.setattr(viewer, "send", lambda message, **more: sent.append(message))
    viewer._answer(viewer, {"ask": "html"}, [])
    assert sent == [{"file": "labkit.html", "html": viewer.html()}]


def test_a_stored_notebook_gets_a_picture_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_STATIC", "1")
    weights = [[1, 0, 0], [0, 1, 0], [0.25, 0.5, 0.25]]
    bundle = attention(weights, ["the", "<b>", "the"], title="Who?")._repr_mimebundle_()
    assert bundle["text/plain"] == (
        "Picture: Who? 3 queries, 3 keys; no query looks at a later key. "
        "Largest weights: the → the 1, <b> → <b> 1, the → <b> 0.5."
    )
    assert not any("widget" in kind for kind in bundle)
    monkeypatch.delenv("LABKIT_STATIC")
    live = attention(weights, ["the", "<b>", "the"])._repr_mimebundle_()[0]
    assert "application/vnd.jupyter.widget-view+json" in live


def test_scripts_are_small_and_hold_no_address() -> None:
    for path in HERE.glob("*.js"):
        assert path.stat().st_size <= 30_000, path.name
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//cdn|import ", text), path.name
