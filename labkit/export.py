"""Models and tokenizers in the form that transformers reads, and GPT-2's weights from the Hub."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers as hf

from labkit.checkpoints import from_hugging_face, load_checkpoint, to_hugging_face
from labkit.datasets.shards import TOKENIZER
from labkit.files import write_atomically
from labkit.gpt import GPT
from labkit.tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    byte_letters,
    load_tokenizer,
)
from labkit.training.recipe import SETTINGS
from labkit.training.run import LOG, Run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
CARD = """# A GPT of {n_parameters:,} parameters, trained with labkit

`AutoModelForCausalLM` and `AutoTokenizer` of transformers load this folder.

At step {step:,} of {max_steps:,} it had read {tokens:,} tokens, repeats counted, and its loss on
held-out text was {val_loss:.4f} nats per token, after {cpu_seconds:.0f} CPU-seconds.

It was trained with `labkit train run.toml --out FOLDER` and these settings:

```toml
{settings}```

Limits: it continues text like the text it was trained on and knows nothing else. It states what is
false as fluently as what is true. It was not tuned to follow instructions or to refuse any.
"""


def tokenizer_to_hugging_face(tokenizer: Tokenizer) -> "PreTrainedTokenizerFast":
    """Return a transformers tokenizer that gives the same ids, with END as the end of text.

    Raises ValueError for a kind of tokenizer that it has no counterpart of.
    """
    from transformers import PreTrainedTokenizerFast

    if isinstance(tokenizer, BPETokenizer):
        inner = hf.Tokenizer.from_str(tokenizer.content)
    elif isinstance(tokenizer, ByteTokenizer):
        inner = _bytes()
    elif isinstance(tokenizer, CharTokenizer):
        inner = _characters(tokenizer)
    else:
        raise ValueError(f"expected characters, bytes or bpe, got {type(tokenizer).__name__}")
    inner.add_special_tokens([hf.AddedToken(END, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=END, eos_token=END)


def _characters(tokenizer: CharTokenizer) -> hf.Tokenizer:
    """Return an encoding without merges: what our tokenizer refuses, this one leaves out."""
    letters = {character: i for i, character in enumerate(tokenizer.alphabet)}
    inner = hf.Tokenizer(hf.models.BPE(letters, []))
    inner.decoder = hf.decoders.Fuse()
    return inner


def _bytes() -> hf.Tokenizer:
    """Return a byte-level encoding without merges, whose ids are the bytes themselves."""
    letters = {letter: byte for byte, letter in enumerate(byte_letters())}
    inner = hf.Tokenizer(hf.models.BPE(letters, []))
    inner.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = hf.decoders.ByteLevel()
    return inner


def export(model: GPT, tokenizer: Tokenizer, folder: Path, *, card: str) -> None:
    """Write a folder that transformers' `from_pretrained` reads, with `card` as its README.md.

    Raises ValueError, before anything is written, for a model that is not of GPT-2's shape.
    """
    theirs = to_hugging_face(model)
    tokenizer_to_hugging_face(tokenizer).save_pretrained(folder)
    theirs.save_pretrained(folder)
    write_atomically(folder / "README.md", card)


def export_run(run_folder: Path, folder: Path) -> Path:
    """Export the best checkpoint of a run, with a model card; return the checkpoint.

    Raises FileNotFoundError without a run there, and what `export` raises.
    """
    best = Run(run_folder).best()
    settings = (run_folder / SETTINGS).read_text(encoding="utf-8")
    log = [json.loads(line) for line in (run_folder / LOG).read_text("utf-8").splitlines()]
    record = next(row for row in log if row["step"] == int(best.name.removeprefix("step-")))
    model = load_checkpoint(best)
    card = CARD.format(settings=settings, n_parameters=model.n_parameters, **record)
    export(model, load_tokenizer(run_folder / TOKENIZER), folder, card=card)
    return best


def from_transformers(name: str = "gpt2") -> GPT:
    """Return our GPT with the weights of a GPT-2 on the Hugging Face Hub.

    Raises ConnectionError where the Hub cannot be reached and nothing is cached.
    """
    from transformers import GPT2LMHeadModel

    try:
        return from_hugging_face(GPT2LMHeadModel.from_pretrained(name))
    except OSError as error:
        raise ConnectionError(
            f"expected to find {name} on the Hugging Face Hub or in its cache, got no answer: "
            "go on without it, or try again where the Hub can be reached"
        ) from error
