"""The sampling explorer: what settings leave of the next token's distribution, and where it leads.

The logits of the whole vocabulary travel as 32-bit numbers, once for each text that is looked at;
the script filters them as `labkit.generation` does, in its order and with its ties.
"""

from typing import Any

import numpy as np
import traitlets

from labkit.plain import sentence, visible
from labkit.tokenizers import Tokenizer
from viewers.viewer import Viewer, script


class SamplingViewer(Viewer):
    """What `sampling` returns; `ids` is the text chosen so far, `settings` are `generate`'s."""

    _esm = script("filters.js", "sampling.js")
    meta = traitlets.Dict().tag(sync=True)
    logits = traitlets.Bytes().tag(sync=True)
    ids = traitlets.List(traitlets.Int()).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)

    def __init__(self, model: Any, tokenizer: Tokenizer, **state: Any) -> None:
        """Keep the model, read what follows `ids`, and say which tokens are most likely."""
        self.model, self.tokenizer, self.read = model, tokenizer, list[int]()
        super().__init__("", **state)
        self.logits = self.next_logits(self.ids)
        logits = np.frombuffer(self.logits, dtype="<f4").astype(float)
        percents = 100 * np.exp(logits - np.logaddexp.reduce(logits))
        order = np.argsort(-logits, kind="stable")[:3]
        best = [(self.meta["labels"][i], percents[i]) for i in order]
        likely = ", ".join(f"{label} {percent:.1f} %" for label, percent in best)
        self.says = f"{sentence(self.title)} After “{self.meta['text']}”: {likely}."

    def answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]] | None:
        """Return a text that a view asks for by its ids, and the logits of what follows."""
        ids = asked["ask"]
        return {"ids": ids, "text": self.tokenizer.decode(ids)}, [self.next_logits(ids)]

    def next_logits(self, ids: list[int]) -> bytes:
        """Return V packed logits; of the text of last time and a token more, only that is read."""
        import torch

        from labkit.generation import Reading

        if not self.read or self.read != ids[:-1]:
            self.reading = Reading(self.model)
        with torch.inference_mode():
            logits = self.reading.next_logits(torch.tensor([ids])).float().numpy(force=True)
        self.read = ids
        return logits.astype("<f4").tobytes()


def sampling(
    model: Any,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    title: str = "What the settings leave of the next token",
    seed: int = 0,
) -> SamplingViewer:
    """Show how `generate`'s settings change the next token, and step through what may be written.

    The prompt stands at the beginning of a document. `seed` is of the viewer's own draws.
    Raises ValueError for a tokenizer with another number of tokens than the model has logits.
    """
    V, ids = tokenizer.vocab_size, [tokenizer.end, *tokenizer.encode(prompt)]
    if model.vocab_size != V:
        raise ValueError(f"expected the model's tokenizer, of {model.vocab_size} tokens, got {V}")
    labels = [visible(tokenizer.label(token)) for token in range(V)]
    meta = {"labels": labels, "start": ids, "text": prompt, "seed": seed}
    return SamplingViewer(model, tokenizer, title=title, meta=meta, ids=ids)
