"""The logit lens: what each layer of a model would predict if it were the last.

The residual stream, as each block and the final norm read it, goes through that norm and the head.
Shapes: L blocks, T time, V vocabulary; of the L + 1 layers, number l comes after l blocks.
Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from labkit.plain import sentence, visible
from viewers.reading import resting
from viewers.viewer import Viewer, script

MOST_SCORES = 100_000_000
"""Scores that are kept, (L + 1) · T · V, so that any token can be followed: 400 MB."""
AT_SIGHT = 12
"""Positions that are seen without scrolling."""


class LogitLens(Viewer):
    """What `logit_lens` returns; `layer`, `position` and `tracked` say what is chosen.

    `tracked` is a token's id, or -1 for whatever really followed.
    """

    _esm = script("logit_lens.js")
    meta = traitlets.Dict().tag(sync=True)
    cells = traitlets.Bytes().tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    tracked = traitlets.Int(-1).tag(sync=True)

    def __init__(self, scores: Any, label: Callable[[int], str], says: str, **state: Any) -> None:
        """Keep the log probabilities, (L + 1, T, V), of which any token's can be asked for."""
        self.scores, self.label = scores, label
        super().__init__(says, **state)

    def answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]] | None:
        """Return the path of a token, given by its id or as it is written: (L + 1, T, 2)."""
        text, token = asked.get("text"), asked.get("token")
        if text is not None:
            ids = range(self.scores.shape[2])
            token = next((i for i in ids if visible(self.label(i)) == visible(text)), None)
            if token is None:
                return {"says": f"No token is “{visible(text)}”; a space before it counts."}, []
        path = _path(self.scores, self.scores.new_full(self.scores.shape[1:2], token).long())
        told = {"token": token, "name": visible(self.label(token)), "found": text is not None}
        return told, [_packed(path)]


def logit_lens(
    model: Any,
    text: str,
    tokenizer: Any,
    *,
    top: int = 5,
    title: str = "The logit lens: what each layer would say next",
) -> LogitLens:
    """Show the `top` tokens that each layer of a GPT finds most probable, at each position.

    `model` is a labkit GPT or a GPT-2 of transformers, with its tokenizer; it is left as it was.
    Rows go from the embedding, above, to the model's own output. Chosen at first is a position
    where the later blocks help most. Raises ValueError for no text, one too long, or a `top`
    outside 1 … V, and TypeError for another model.
    """
    ids = list(tokenizer.encode(text))
    scores = log_probs_by_layer(model, ids)
    n_layers, T, V = scores.shape
    if not 1 <= top <= V:
        raise ValueError(f"expected top from 1 to {V}, the vocabulary, got {top}")
    cells = _cells(scores, ids, top)
    label = getattr(tokenizer, "label", lambda i: tokenizer.decode([i]))
    shown = {*ids, *cells[..., :top].long().unique().tolist()}
    names = {str(i): visible(label(i)) for i in shown}
    chance, rank = cells[:, : T - 1, -2].exp(), cells[:, : T - 1, -1]  # of what followed
    hits = (rank == 1).sum(dim=1).tolist()
    late = (chance[-1] - chance[n_layers // 2])[:AT_SIGHT]
    says = f"{sentence(title)} What really followed is the most probable token at {hits[0]} of "
    return LogitLens(
        scores,
        label,
        says + f"{T - 1} positions before the first block, at {hits[-1]} after the last.",
        title=title,
        meta={"ids": ids, "names": names, "top": top, "layers": n_layers},
        cells=_packed(cells),
        layer=n_layers - 1,
        position=int(late.argmax()) if T > 1 else 0,
    )


def log_probs_by_layer(model: Any, ids: Sequence[int]) -> Any:
    """Return the log probability of every token after each layer and position: (L + 1, T, V).

    In nats; the last layer's are the model's own. Raises what `logit_lens` raises.
    """
    import torch

    blocks, norm, head, context = _parts(model)
    most = min(context, MOST_SCORES // (len(blocks) + 1) // model.config.vocab_size)
    if not 1 <= len(ids) <= most:
        raise ValueError(f"expected a text of 1 to {most} tokens, got {len(ids)}: pass a part")
    seen: list[Any] = []
    with torch.no_grad(), resting(model):
        parts = (*blocks, norm)
        hooks = [p.register_forward_pre_hook(lambda _, read: seen.append(read[0])) for p in parts]
        try:
            model(torch.tensor([ids], device=next(model.parameters()).device))
        finally:
            for hook in hooks:
                hook.remove()
        return head(norm(torch.cat(seen))).float().log_softmax(dim=-1).cpu()


def _parts(model: Any) -> tuple[Any, Any, Any, int]:
    """Return a model's blocks, its final norm, what scores tokens after it, and its context."""
    if hasattr(model, "lm_head") and hasattr(model, "transformer"):
        inner = model.transformer
        return inner.h, inner.ln_f, model.lm_head, model.config.n_positions
    if not hasattr(model, "blocks") or not hasattr(model, "norm"):
        raise TypeError(
            f"expected a labkit GPT or a GPT-2 of transformers, got {type(model).__name__}: a lens "
            "needs blocks that add to one stream, a final norm and a head"
        )
    head = (lambda x: x @ model.tokens.weight.T) if model.head is None else model.head
    return model.blocks, model.norm, head, model.context_length


def _cells(scores: Any, ids: Sequence[int], top: int) -> Any:
    """Return what the script is sent of each layer and position: (L + 1, T, 2 · top + 3)."""
    import torch

    best = scores.topk(top)  # (L + 1, T, top)
    bits = [torch.special.entr(layer.exp()).sum(dim=-1) / math.log(2) for layer in scores]
    after = scores.new_full((*scores.shape[:2], 2), math.nan)  # unknown after the last token
    after[:, :-1] = _path(scores[:, :-1], torch.tensor(ids[1:], dtype=torch.long))
    return torch.cat([best.indices, best.values, torch.stack(bits)[..., None], after], dim=-1)


def _path(scores: Any, tokens: Any) -> Any:
    """Return log probability and rank, 1 for the highest, of a token per position: (L, T, 2)."""
    import torch

    chosen = scores.gather(-1, tokens.expand(len(scores), -1)[..., None])  # (L, T, 1)
    ranks = 1 + (scores > chosen).sum(dim=-1, keepdim=True)
    return torch.cat([chosen, ranks], dim=-1)


def _packed(numbers: Any) -> bytes:
    return bytes(numbers.float().numpy().astype("<f4").tobytes())
