"""Models side by side: each goes on from one prompt, and each token shows how likely it was."""

import math
from collections.abc import Mapping
from typing import Any

import traitlets

from labkit.plain import sentence, visible
from labkit.tokenizers import Tokenizer
from viewers.viewer import Viewer, script


class ComparisonViewer(Viewer):
    """What `compare` returns; `texts` are those written with `seed`, one for each model."""

    _esm = script("compare.js")
    prompt = traitlets.Unicode().tag(sync=True)
    texts = traitlets.List(traitlets.Dict()).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)

    def __init__(self, models: Mapping[str, Any], how: Mapping[str, Any], **state: Any) -> None:
        """Keep the models and `generate`'s arguments, and let them write."""
        self.models, self.how = models, how
        super().__init__("", **state)
        self.write()

    def answer(self, asked: Any) -> None:
        """Write with the next seed when a view asks for it; all views follow."""
        self.seed += 1
        self.write()

    def write(self) -> None:
        """Let each model go on from the prompt, by chance of `seed`, and score what it wrote."""
        self.texts = [{"name": name, **self._written(*pair)} for name, pair in self.models.items()]
        told = ", ".join(f"{text['name']} {text['bits']:.2f}" for text in self.texts)
        self.says = f"{sentence(self.title)} Mean surprise in bits per character: {told}."

    def _written(self, model: Any, tokenizer: Tokenizer) -> dict[str, Any]:
        """Return what a model writes: labels, the surprise of each in bits, their mean."""
        import torch

        from labkit.generation import generate
        from labkit.metrics import token_log_probs

        begin = torch.tensor([[tokenizer.end, *tokenizer.encode(self.prompt)]])
        chance = torch.Generator().manual_seed(self.seed)
        ids = generate(model, begin, generator=chance, stop=tokenizer.end, **self.how)
        written = ids[0, begin.shape[1] :].tolist()
        surprise = (token_log_probs(model, ids)[-len(written) :].double() / -math.log(2)).tolist()
        chars = len(tokenizer.decode(written)) + written.count(tokenizer.end)
        labels = [_readable(tokenizer.label(token)) for token in written]
        bits = sum(surprise) / max(chars, 1)
        return {"tokens": labels, "surprise": surprise, "chars": chars, "bits": bits}


def compare(
    models: Mapping[str, tuple[Any, Tokenizer]],
    prompt: str,
    n_tokens: int = 40,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    title: str = "One beginning, several models: how likely was each token?",
) -> ComparisonViewer:
    """Show how models, given as name: (model, tokenizer), go on from a prompt, each in its tokens.

    Probabilities are the models' own, whatever the temperature of writing; the end of the text
    counts as one character. Raises ValueError for no models or less than one token.
    """
    if not models or n_tokens < 1:
        got = f"{len(models)} models and {n_tokens} tokens"
        raise ValueError(f"expected a model or more, and at least 1 token to write, got {got}")
    how = {"n_tokens": n_tokens, "temperature": temperature}
    return ComparisonViewer(dict(models), how, prompt=prompt, title=title, seed=seed)


def _readable(label: str) -> str:
    """Return a token as it reads in a text: spaces stay, and a sign stands before a line's end."""
    return "".join(c if c == " " else visible(c) + "\n" * (c == "\n") for c in label)
