"""The sampling explorer: what settings leave of the next token's distribution, and where it leads.

The logits of the whole vocabulary travel as 32-bit numbers, once for each text that is looked at;
the script filters them as `labkit.generation` does, in its order and with its ties.
"""

from typing import Any

import numpy as np
import traitlets

from labkit.tokenizers import Tokenizer
from labkit.viz.charts import visible
from labkit.viz.picture import sentence
from labkit.viz.viewer import Viewer, script


class SamplingViewer(Viewer):
    """What `sampling` returns; `ids` is the text chosen so far, `settings` are `generate`'s."""

    _esm = script("sampling.js")
    meta = traitlets.Dict().tag(sync=True)
    logits = traitlets.Bytes().tag(sync=True)
    ids = traitlets.List(traitlets.Int()).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)

    def __init__(self, model: Any, tokenizer: Tokenizer, says: str = "", **state: Any) -> None:
        """Keep the model, which reads on at each step."""
        self.model, self.tokenizer = model, tokenizer
        self.reading, self.read = None, list[int]()
        super().__init__(says, **state)

    def answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]] | None:
        """Return a text that a view asks for by its ids, and the logits of what follows."""
        ids = asked["ask"]
        return {"ids": ids, "text": self.tokenizer.decode(ids)}, [self.next_logits(ids).tobytes()]

    def next_logits(self, ids: list[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return (V,) logits; a text that is the last one and a token more is not read again."""
        import torch

        from labkit.generation import Reading

        if self.reading is None or self.read != ids[:-1]:
            self.reading = Reading(self.model)
        with torch.inference_mode():
            logits = self.reading.next_logits(torch.tensor([ids]))[0].float().numpy(force=True)
        self.read = ids
        if not np.isfinite(logits.max()):
            raise ValueError(f"expected logits that are numbers, got {logits.max()}: train anew")
        return logits.astype("<f4")


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
        raise ValueError(
            f"expected the model's own tokenizer, with {model.vocab_size} tokens, got {V}"
        )
    labels = [visible(tokenizer.label(token)) for token in range(V)]
    meta = {"labels": labels, "start": ids, "text": prompt, "seed": seed}
    viewer = SamplingViewer(model, tokenizer, title=title, meta=meta, ids=ids)
    logits = viewer.next_logits(ids)
    viewer.logits = logits.tobytes()
    probs = np.exp(logits.astype(float) - logits.max())
    best = np.argsort(-probs, kind="stable")[:3]
    likely = ", ".join(f"{labels[i]} {100 * probs[i] / probs.sum():.1f} %" for i in best)
    viewer.says = f"{sentence(title)} After “{prompt}”, of {V:,} tokens: {likely}."
    return viewer
