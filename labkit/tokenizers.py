"""From text to token ids and back: characters, bytes, and byte-level byte-pair encoding.

All three share one protocol. The last id of each vocabulary is the end-of-text token; it stands
between documents, is never produced by `encode` whatever the text contains, and decodes to nothing.
Built in notebook 11.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import tokenizers as hf
from numpy.typing import NDArray

from labkit.files import write_atomically

END_LABEL = "<end>"


class Tokenizer(Protocol):
    """What every tokenizer offers. Built in notebook 11."""

    kind: str
    """Name of the tokenizer in saved files."""
    vocab_size: int
    """Number of ids, V, with the end-of-text token."""
    end: int
    """Id of the end-of-text token, V - 1."""
    content: Any = None
    """What a saved file holds besides the kind."""

    def encode(self, text: str) -> list[int]:
        """Turn text into ids."""

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text; the end-of-text token gives nothing."""

    def label(self, token: int) -> str:
        """Return one token as a person should see it."""
        return END_LABEL if token == self.end else self.decode([token])

    def save(self, path: Path) -> None:
        """Write the tokenizer to a JSON file."""
        saved = {"kind": self.kind, "content": self.content}
        write_atomically(Path(path), json.dumps(saved, ensure_ascii=False))


class CharTokenizer(Tokenizer):
    """One id for each distinct character, in the order of their code points.

    >>> tokenizer = CharTokenizer.train(["hello"])
    >>> tokenizer.encode("hole"), tokenizer.vocab_size
    ([1, 3, 2, 0], 5)

    Built in notebook 11.
    """

    kind = "characters"

    def __init__(self, alphabet: Sequence[str]) -> None:
        """Take the distinct characters; their places are their ids."""
        if len(set(alphabet)) != len(alphabet) or any(len(char) != 1 for char in alphabet):
            raise ValueError("expected an alphabet of distinct single characters: use train()")
        self.alphabet = self.content = "".join(alphabet)
        self._ids = {char: i for i, char in enumerate(self.alphabet)}
        self.vocab_size = len(self.alphabet) + 1
        self.end = len(self.alphabet)

    @classmethod
    def train(cls, texts: Iterable[str]) -> Self:
        """Collect the characters of some texts."""
        return cls(sorted(set().union(*texts)))

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; raise ValueError for a character outside the alphabet."""
        try:
            return [self._ids[char] for char in text]
        except KeyError as error:
            char = error.args[0]
            raise ValueError(
                f"expected one of the {len(self.alphabet)} characters of the training text, got "
                f"{char!r} (U+{ord(char):04X}): train on text that has it, or use bytes"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text."""
        return "".join(self.alphabet[i] for i in _without_end(ids, self.end))


class ByteTokenizer(Tokenizer):
    """One id for each of the 256 bytes of UTF-8, so that nothing is ever unknown.

    >>> ByteTokenizer().encode("猫")
    [231, 140, 171]

    Built in notebook 11.
    """

    kind = "bytes"
    vocab_size = 257
    end = 256

    def encode(self, text: str) -> list[int]:
        """Turn text into the numbers of its bytes."""
        return list(text.encode("utf-8"))

    def decode(self, ids: Iterable[int]) -> str:
        """Turn bytes into text; bytes that are no character show as �."""
        return bytes(_without_end(ids, self.end)).decode("utf-8", errors="replace")

    def label(self, token: int) -> str:
        """Return the character for ASCII and the hexadecimal byte for the rest."""
        return f"⟨{token:02X}⟩" if 128 <= token < self.end else super().label(token)


class BPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding, as in GPT-2: frequent runs of bytes become one token.

    The merges are learned and applied by Hugging Face's `tokenizers`.
    Source: Sennrich et al. 2016; Radford et al. 2019, section 2.2. Built in notebook 11.
    """

    kind = "bpe"

    def __init__(self, inner: hf.Tokenizer) -> None:
        """Wrap a trained tokenizer of the `tokenizers` library; use `train` to make one.

        Raises ValueError if a byte has no token, for its text would vanish.
        """
        missing = set(hf.pre_tokenizers.ByteLevel.alphabet()) - inner.get_vocab().keys()
        if missing:
            raise ValueError(
                f"expected a token for each of the 256 bytes, got none for {len(missing)} of them: "
                "use train()"
            )
        self._inner = inner
        self.vocab_size = inner.get_vocab_size() + 1
        self.end = self.vocab_size - 1

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Self:
        """Learn merges until there are `vocab_size` tokens, the end-of-text token among them.

        Raises ValueError below 257: each byte needs an id, and the end of the text one more.
        """
        if vocab_size < 257:
            raise ValueError(f"expected a vocabulary of at least 257 tokens, got {vocab_size}")
        inner = hf.Tokenizer(hf.models.BPE())
        inner.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = hf.decoders.ByteLevel()
        trainer = hf.trainers.BpeTrainer(
            vocab_size=vocab_size - 1,
            initial_alphabet=sorted(hf.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner)

    def encode(self, text: str) -> list[int]:
        """Turn text into ids."""
        return list(self._inner.encode(text).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text; a token that ends within a character shows as �."""
        return str(self._inner.decode(_without_end(ids, self.end)))

    @property
    def content(self) -> str:
        """Vocabulary and merges, as the library writes them."""
        return str(self._inner.to_str())


def byte_letters() -> list[str]:
    """Return the letter by which byte-level vocabularies write each of the 256 bytes.

    A byte that prints as one character is that character; the others take those from 256 on.
    Source: Radford et al. 2019, their encoder. Built in notebook 11.
    """
    printable, others = set(hf.pre_tokenizers.ByteLevel.alphabet()), itertools.count(256)
    return [chr(byte if chr(byte) in printable else next(others)) for byte in range(256)]


def encode_documents(tokenizer: Tokenizer, texts: Iterable[str]) -> NDArray[np.int64]:
    """Join documents into one stream of ids, with the end-of-text token before, between and after.

    >>> encode_documents(CharTokenizer("ab"), ["ab", "ba"]).tolist()
    [2, 0, 1, 2, 1, 0, 2]

    Built in notebook 11.
    """
    ends = np.array([tokenizer.end])
    pieces = [ends]
    for text in texts:
        pieces += [np.array(tokenizer.encode(text), dtype=np.int64), ends]
    return np.concatenate(pieces)


def load_tokenizer(path: Path) -> Tokenizer:
    """Read any tokenizer that `save` wrote.

    Raises ValueError, naming the file, if it is not one. Built in notebook 11.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        match saved["kind"], saved["content"]:
            case CharTokenizer.kind, content:
                return CharTokenizer(content)
            case ByteTokenizer.kind, _:
                return ByteTokenizer()
            case BPETokenizer.kind, content:
                return BPETokenizer(hf.Tokenizer.from_str(content))
    except OSError:
        raise
    except Exception as error:  # the tokenizers library raises bare Exception for broken JSON
        raise ValueError(f"{path} is not a saved tokenizer: {error}") from error
    raise ValueError(f"{path}: expected the kind characters, bytes or bpe, got {saved['kind']!r}")


def _without_end(ids: Iterable[int], end: int) -> list[int]:
    """Return plain ints; refuse an id outside the vocabulary instead of wrapping around."""
    plain = [int(i) for i in ids]
    for i in plain:
        if not 0 <= i <= end:
            raise ValueError(f"expected ids from 0 to {end}, got {i}")
    return [i for i in plain if i != end]
