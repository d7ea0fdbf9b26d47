"""Byte-pair encoding through labkit beside the same calls of Hugging Face's tokenizers.

labkit's encoding *is* theirs with a smaller interface, so this measures what the interface costs.
"""

import os
from collections.abc import Iterator, Sequence
from functools import partial

from tokenizers import Tokenizer

from benchmarks.measure import Measurement, alternately, ratios
from labkit.tokenizers import BPETokenizer

VOCAB_SIZE, ROUNDS = 1024, 7


def tokens_against_hugging_face(texts: Sequence[str]) -> Iterator[Measurement]:
    """Encode and decode all texts with both.

    Raises RuntimeError if the ids differ, for then they did not do the same.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    ours = BPETokenizer.train(list(texts), VOCAB_SIZE)
    theirs = Tokenizer.from_str(ours.content)
    work = {
        "ours": partial(lambda: [ours.encode(text) for text in texts]),
        "theirs": partial(lambda: [theirs.encode(text).ids for text in texts]),
    }
    alternately(work, 1)
    ids, seconds = alternately(work, ROUNDS)
    if ids["ours"][0] != ids["theirs"][0]:
        raise RuntimeError("expected equal ids of both tokenizers, got different ones")
    n_chars = sum(len(text) for text in texts)
    setting = f"byte-pair encoding of {n_chars:,} characters, V = {VOCAB_SIZE}"
    speeds = tuple(n_chars / taken for taken in seconds["ours"])
    yield Measurement("encoding", speeds, "characters per CPU-second", setting)
    times = ratios(seconds["theirs"], seconds["ours"])
    yield Measurement("speed beside Hugging Face's tokenizers", times, "×", setting)
