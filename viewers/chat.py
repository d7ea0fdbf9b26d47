"""A chat box: a conversation with anything that writes, piece by piece, and can be stopped.

The page asks for each piece, so the kernel is free in between: to stop is to ask no more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import traitlets

from labkit.plain import sentence
from labkit.tokenizers import Tokenizer
from viewers.viewer import Viewer, script

Messages = list[dict[str, str]]
"""Each with a "role", one of system, user and assistant, and its "content"."""
Write = Callable[[Messages, float], Iterator[str]]
"""From what was said and a temperature to the answer so far, longer each time."""
NAMES = {"system": "System", "user": "You", "assistant": "Model"}
PIECE = 6  # tokens between two looks at the page: often enough to read along


class ChatViewer(Viewer):
    """What `chat_box` returns; `messages` is the conversation, a system prompt not among them."""

    _esm = script("chat.js")
    messages: Any = traitlets.List().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)

    def __init__(self, write: Write, **state: Any) -> None:
        """Keep what writes, and say what was said so far."""
        super().__init__("", **state)
        self.write, self.so_far = write, ""
        self.writing: Iterator[str] = iter(())
        told = " ".join(f"{NAMES[m['role']]}: “{m['content']}”" for m in self.messages)
        self.says = f"{sentence(self.title)} {told or 'Nothing was said yet.'}"

    def answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]] | None:
        """Begin an answer to what the user says, go on with it, or keep what is there of it."""
        kind = asked.get("ask")
        if kind == "say":
            self.settings = {key: asked[key] for key in ("temperature", "system", "remembers")}
            before = self.messages if asked["remembers"] else []
            said = [*before, {"role": "user", "content": asked["text"]}]
            self.messages = [*self.messages, said[-1]]
            system = [{"role": "system", "content": asked["system"]}] if asked["system"] else []
            self.writing, self.so_far = self.write(system + said, asked["temperature"]), ""
            return {"text": "", "done": False}, []
        if kind == "more":
            text = next(self.writing, None)
            self.so_far = self.so_far if text is None else text
            return {"text": self.so_far, "done": text is None}, []
        if kind == "keep":
            self.writing = iter(())
            self.messages = [*self.messages, {"role": "assistant", "content": self.so_far}]
        if kind == "forget":
            self.messages = []
        return None


def writer(
    model: Any,
    tokenizer: Tokenizer,
    encode: Callable[[Messages], Sequence[int]],
    *,
    n_tokens: int,
    seed: int = 0,
) -> Write:
    """Return what lets a language model answer, at most `n_tokens` tokens, in a `chat_box`.

    `encode` turns messages into the ids after which the answer begins. Equal seeds and equal
    conversations give equal answers.
    """
    import torch

    from labkit.generation import Reading, apply_temperature, sample

    generator = torch.Generator().manual_seed(seed)

    def write(messages: Messages, temperature: float) -> Iterator[str]:
        ids, reading = torch.tensor([list(encode(messages))]), Reading(model)
        begin = ids.shape[1]
        for n in range(1, n_tokens + 1):
            with torch.inference_mode():
                logits = apply_temperature(reading.next_logits(ids), temperature)
            drawn = sample(logits, generator)
            if int(drawn) != tokenizer.end:
                ids = torch.cat([ids, drawn[:, None]], dim=1)
            ended = int(drawn) == tokenizer.end or n == n_tokens
            if ended or n % PIECE == 0:
                yield tokenizer.decode(ids[0, begin:].tolist()).strip()
            if ended:
                return

    return write


def chat_box(
    write: Write,
    *,
    messages: Sequence[Mapping[str, str]] = (),
    title: str = "Talk to the model",
    temperature: float = 0.7,
    system: str = "",
    remembers: bool = True,
) -> ChatViewer:
    """Show a conversation that goes on: streaming, stop, temperature, system prompt, export.

    Without `remembers` the model reads only the last message, which is all that some were taught.
    """
    settings = {"temperature": temperature, "system": system, "remembers": remembers}
    return ChatViewer(write, title=title, messages=[dict(m) for m in messages], settings=settings)
