"""The tokenizer explorer: one text cut by up to three tokenizers, token by token, merge by merge.

The script cuts the text itself, by rules that it gets as numbers, so that a text can be edited
without Python. Only a model's surprise is Python's, and sent again when the text changes.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import traitlets

from labkit.plain import sentence
from labkit.tokenizers import BPETokenizer, Tokenizer, byte_letters
from viewers.viewer import Viewer, script

IMPOSSIBLE = 1e6
"""In place of infinitely many bits, which JSON cannot hold."""


class TokensViewer(Viewer):
    """What `tokens` returns; `text` is what stands in it, `ids` its tokens that were looked at."""

    _esm = script("tokens.js")
    text = traitlets.Unicode().tag(sync=True)
    ids = traitlets.List(traitlets.Int()).tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)
    surprise = traitlets.Dict().tag(sync=True)

    def __init__(self, says: str, named: Mapping[str, Tokenizer], model: Any, **state: Any) -> None:
        """Keep the model and its tokenizer, which a new text needs."""
        sizes = [of.vocab_size for of in named.values()]
        if model is not None and model.vocab_size not in sizes:
            raise ValueError(
                f"expected a tokenizer of {model.vocab_size} ids, got {sizes}: pass the model's own"
            )
        scored = -1 if model is None else sizes.index(model.vocab_size)
        self.scorer = (model, list(named.values())[scored])
        rules = [{"name": name} | _rules(of) for name, of in named.items()]
        super().__init__(says, meta={"rules": rules, "scored": scored}, **state)
        self.observe(lambda _: self.score(), "text")
        self.score()

    def score(self) -> None:
        """Set `surprise` to -log2 P of each token after those before it, to four digits.

        Nothing without a model, or for a text that its tokenizer does not know.
        """
        model, tokenizer = self.scorer
        bits: list[float] = []
        if model is not None and (ids := _ids(tokenizer, self.text)):
            import torch

            from labkit.metrics import token_log_probs

            nats = token_log_probs(model, torch.tensor([[tokenizer.end, *ids]])).double().tolist()
            bits = [min(round(-value / math.log(2), 4), IMPOSSIBLE) for value in nats]
        self.surprise = {"text": self.text, "bits": bits}


def tokens(
    text: str,
    tokenizers: Tokenizer | Mapping[str, Tokenizer],
    *,
    model: Any = None,
    title: str = "Tokens: where a text is cut, and into how many",
) -> TokensViewer:
    """Show how tokenizers cut a text that can be edited; byte-pair encoding also merge by merge.

    `tokenizers` is one of labkit's, or up to three with their names. A `model` colours the tokens
    of its tokenizer by their surprise in bits. Raises ValueError where these do not fit.
    """
    named = tokenizers if isinstance(tokenizers, Mapping) else {tokenizers.kind: tokenizers}
    if not 1 <= len(named) <= 3:
        raise ValueError(f"expected one to three tokenizers, got {len(named)}: leave some out")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("expected text of whole characters, got half of a surrogate pair")
    cut = {name: _ids(of, text) for name, of in named.items()}
    told = "; ".join(
        f"{name}: {len(ids):,} tokens, {len(text) / len(ids):.2f} characters per token"
        if ids
        else f"{name}: none"
        for name, ids in cut.items()
    )
    first = next(iter(cut.values()))
    says = f"{sentence(title)} {told}."
    return TokensViewer(says, named, model, text=text, ids=first, title=title)


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the ids of a text, none where the tokenizer does not know a character of it."""
    try:
        return tokenizer.encode(text)
    except ValueError:
        return []


def _rules(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return by what the script cuts; raise ValueError for rules that it does not know.

    Merges are [left id, right id, id of both], in the order in which they were learned.
    """
    if not isinstance(tokenizer, BPETokenizer):
        if tokenizer.kind in ("characters", "bytes"):
            alphabet = getattr(tokenizer, "alphabet", "")
            return {"kind": tokenizer.kind, "alphabet": alphabet, "merges": []}
        raise ValueError(f"expected characters, bytes or byte pairs, got {tokenizer.kind!r}")
    saved = json.loads(tokenizer.content)
    plain = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    cuts = saved["pre_tokenizer"] or {}
    if saved["normalizer"] or saved["added_tokens"] or not plain.items() <= cuts.items():
        raise ValueError(f"expected what BPETokenizer.train makes, got one that cuts by {cuts}")
    vocab, pairs = saved["model"]["vocab"], saved["model"]["merges"]
    merges = [[vocab[left], vocab[right], vocab[left + right]] for left, right in pairs]
    return {"kind": "bpe", "bytes": [vocab[letter] for letter in byte_letters()], "merges": merges}
