"""Saving a GPT as safetensors and JSON, and exchanging weights with Hugging Face's GPT-2.

Nothing is ever unpickled. A checkpoint is a folder with `config.json` and a file of weights that is
named after its content, `model-0123456789abcdef.safetensors`; a training run adds one with what it
needs to go on, `training-….safetensors`. So damage is noticed (`config.json` has its own digest),
and a new checkpoint takes the place of an old one in one step, when `config.json` is replaced.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor

from labkit.files import write_atomically
from labkit.gpt import GPT, GPTConfig
from labkit.parts import named_parts, names_of_parts

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

CONFIG = "config.json"
TENSORS = re.compile(r"(model|training)-[0-9a-f]{16}\.safetensors")

HUGGING_FACE_NAMES = {
    "tokens": "wte",
    "positions": "wpe",
    "norm": "ln_f",
    "norm_1": "ln_1",
    "norm_2": "ln_2",
    "attention.qkv": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}
"""Our modules and theirs; blocks are `blocks.0` here and `h.0` there."""

SIZES = {
    "vocab_size": "vocab_size",
    "context_length": "n_positions",
    "n_layers": "n_layer",
    "n_heads": "n_head",
    "d_model": "n_embd",
    "d_ff": "n_inner",
}
"""Our names of a configuration's sizes and theirs."""
HARMLESS = {("start", "silent"), ("attend", "plain")}
"""Parts that do not change what a trained model computes."""
DROPOUTS = ("embd_pdrop", "attn_pdrop", "resid_pdrop")

GPT_2 = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
"""What makes an architecture GPT-2's, in the names of transformers."""


def save_checkpoint(model: GPT, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write configuration and weights; until both are whole, what the folder held still counts.

    Weights of `dtype` bfloat16 need half the room and are rounded to three digits.
    Of the parts that the model was given the names are saved; give one that is not in
    `labkit.parts.PARTS` to `load_checkpoint` again. Raises ValueError if the folder holds a
    `config.json` of something else, which would be lost.
    """
    weights = {name: weight.to(dtype) for name, weight in model.state_dict().items()}
    write_checkpoint(folder, description(model), weights)


def description(model: GPT) -> dict[str, Any]:
    """Return the sizes and the names of the parts of a model, from which it can be made again."""
    return {"model": asdict(model.config), "parts": names_of_parts(model)}


def write_checkpoint(
    folder: Path,
    about: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    training: tuple[Mapping[str, Any], Mapping[str, Tensor]] | None = None,
) -> None:
    """Write what `save_checkpoint` writes, and in `training` numbers and tensors to go on with.

    Raises what `save_checkpoint` raises, and OSError, the former checkpoint intact.
    """
    former = set()
    with contextlib.suppress(FileNotFoundError):
        former = _files(_read_config(folder))
    saved: dict[str, Any] = {**about, "weights": _write(folder, "model", weights)}
    if training is not None:
        numbers, tensors = training
        saved["training"] = {**numbers, "tensors": _write(folder, "training", tensors)}
    saved["digest"] = _digest(saved)
    write_atomically(folder / CONFIG, json.dumps(saved, indent=1) + "\n")
    for name in former - _files(saved):
        (folder / name).unlink(missing_ok=True)


def load_checkpoint(folder: Path, **parts: Any) -> GPT:
    """Read a model that `save_checkpoint` wrote; `parts` are those of its parts without a name.

    Raises FileNotFoundError without the two files, and ValueError, naming the folder, if they do
    not hold a GPT, are damaged or do not fit together, or if a part without a name is missing.
    """
    saved = _read_config(folder)
    weights = _read_tensors(folder, saved["weights"])
    names = {kind: name for kind, name in saved["parts"].items() if kind not in parts}
    if "" in names.values():
        missing = ", ".join(f"{kind}=…" for kind, name in names.items() if not name)
        raise ValueError(f"expected the parts that {folder} was made with, pass {missing}")
    try:
        parts = named_parts(names) | parts
        model = GPT(GPTConfig(**saved["model"]), generator=torch.Generator(), **parts)
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"expected weights in {folder} that fit {CONFIG}: {error}") from error
    return model.eval()


def read_training(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """Read `config.json`, the weights and the tensors that `write_checkpoint` wrote.

    Raises what `load_checkpoint` raises, and ValueError if nothing was saved to go on with.
    """
    saved = _read_config(folder)
    if "training" not in saved:
        raise ValueError(f"expected a checkpoint of a training run in {folder}, got a model alone")
    weights, tensors = (
        _read_tensors(folder, name) for name in (saved["weights"], saved["training"]["tensors"])
    )
    return saved, weights, tensors


def _digest(saved: Mapping[str, Any]) -> str:
    """Return a digest of all that a configuration says besides it."""
    rest = {name: value for name, value in saved.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode("utf-8")).hexdigest()[:16]


def _files(saved: Mapping[str, Any]) -> set[str]:
    """Return the names of the files of tensors that a configuration counts on."""
    return {saved["weights"], *([saved["training"]["tensors"]] if "training" in saved else [])}


def _write(folder: Path, kind: str, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors to a file that is named after its content; return the name."""
    data = safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()})
    name = _file_name(kind, data)
    write_atomically(folder / name, data)
    return name


def _read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """Read a file of tensors; raise ValueError if it is not as it was written."""
    data = _read(folder / name)
    if _file_name(name.partition("-")[0], data) != name:
        raise ValueError(f"expected {name} in {folder} as it was saved, got a damaged file")
    try:
        return dict(sorted(safetensors.torch.load(data).items()))  # its own order varies
    except safetensors.SafetensorError as error:
        raise ValueError(f"expected {name} in {folder} to hold tensors: {error}") from error


def _read_config(folder: Path) -> dict[str, Any]:
    """Return what `config.json` says; raise ValueError if `write_checkpoint` did not write it."""
    try:
        saved: dict[str, Any] = json.loads(_read(folder / CONFIG))
        GPTConfig(**saved["model"])
        named_parts({kind: name for kind, name in saved["parts"].items() if name})
        if saved["digest"] != _digest(saved):
            raise ValueError("one that was changed since")
        for name in _files(saved):
            if not TENSORS.fullmatch(name):
                raise ValueError(f"{name!r} as a file of tensors")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"expected {CONFIG} in {folder} to be one that save_checkpoint wrote, "
            f"got {type(error).__name__}: {error}; choose another folder"
        ) from error
    return saved


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"expected a checkpoint in {path.parent}, got no {path.name} there: "
            "save one with save_checkpoint"
        ) from None


def _file_name(kind: str, data: bytes) -> str:
    return f"{kind}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"


def to_hugging_face(model: GPT) -> "GPT2LMHeadModel":
    """Return a transformers model with the same weights, for its `save_pretrained` and the rest.

    Raises ValueError for a model with other parts than GPT-2's.
    """
    others = {k: name for k, name in names_of_parts(model).items() if (k, name) not in HARMLESS}
    if model.ngrams is not None:
        others["ngram_order"] = str(model.config.ngram_order)
    if others:
        shown = ", ".join(f"{kind} {name or 'of your own'}" for kind, name in others.items())
        raise ValueError(
            f"expected a model of GPT-2's parts, got {shown}: as a GPT-2 the same weights would "
            "compute something else"
        )
    from transformers import GPT2Config, GPT2LMHeadModel

    ours = model.config
    settings = {theirs: getattr(ours, name) for name, theirs in SIZES.items()}
    settings |= dict.fromkeys(DROPOUTS, ours.dropout)
    settings |= dict.fromkeys(("bos_token_id", "eos_token_id"), ours.vocab_size - 1)
    config = GPT2Config(**settings)
    # It draws weights, soon replaced, from the global generator, whose state is nobody's to change.
    with torch.random.fork_rng(devices=[]):
        theirs = GPT2LMHeadModel(config)
    weights = {_their_name(n): _turn(n, t) for n, t in model.state_dict().items()}
    weights["lm_head.weight"] = weights["transformer.wte.weight"]
    theirs.load_state_dict(weights)
    theirs.loss_type = "ForCausalLM"  # this class names none, and asking for a loss would warn
    return theirs.eval()


def from_hugging_face(theirs: "GPT2LMHeadModel") -> GPT:
    """Return our model with a copy of the weights of a transformers GPT-2.

    Its matrices stay in memory as GPT-2 has them, by inputs: one token at a time, which is how text
    is written, a CPU multiplies by them a third faster than by `nn.Linear`'s own order.
    Raises ValueError for another kind of model, for a configuration that GPT-2 does not have, such
    as another activation, and for dropout that is not the same everywhere.
    """
    from transformers import GPT2LMHeadModel

    if not isinstance(theirs, GPT2LMHeadModel):
        raise ValueError(f"expected a GPT2LMHeadModel, got {type(theirs).__name__}")
    c = theirs.config
    for name, expected in GPT_2.items():
        if getattr(c, name) != expected:
            raise ValueError(f"expected {name} {expected}, as in GPT-2, got {getattr(c, name)}")
    dropouts = tuple(getattr(c, name) for name in DROPOUTS)
    if len(set(dropouts)) > 1:
        raise ValueError(
            f"expected embd_pdrop, attn_pdrop and resid_pdrop to be equal, got {dropouts}: "
            "set them to one number in the model's config"
        )
    sizes = {name: getattr(c, theirs) or 0 for name, theirs in SIZES.items()}  # n_inner may be None
    config = GPTConfig(**sizes, dropout=dropouts[0])
    model = GPT(config, generator=torch.Generator())
    weights = theirs.state_dict()
    turned = {name: _turn(name, weights[_their_name(name)]) for name in model.state_dict()}
    ours = {name: tensor.to(torch.float32, copy=True) for name, tensor in turned.items()}
    model.load_state_dict(ours, assign=True)
    return model.eval()


def _their_name(name: str) -> str:
    """Translate `blocks.0.mlp.up.weight` into `transformer.h.0.mlp.c_fc.weight`."""
    prefix = "transformer."
    if name.startswith("blocks."):
        _, layer, name = name.split(".", 2)
        prefix += f"h.{layer}."
    module, kind = name.rsplit(".", 1)
    return f"{prefix}{HUGGING_FACE_NAMES[module]}.{kind}"


def _turn(name: str, tensor: Tensor) -> Tensor:
    """Transpose the matrices that GPT-2 stores as (input, output); `nn.Linear` has them turned."""
    is_linear = tensor.ndim == 2 and "blocks." in name
    return tensor.T if is_linear else tensor
