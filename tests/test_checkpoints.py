"""Checkpoints are whole or refused, and our GPT is transformers' GPT-2: logits, gradients, writing.

transformers draws and writes for itself where it is asked to; nothing here needs a network.
"""

import json
import os
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

import labkit.checkpoints
from labkit.checkpoints import from_hugging_face, load_checkpoint, save_checkpoint, to_hugging_face
from labkit.functional import cross_entropy, rotate
from labkit.generation import generate
from labkit.gpt import GPT, GPTConfig
from labkit.parts import named_parts, names_of_parts


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(model: Any, seed: int = 0) -> Any:
    """The model in evaluation mode, every weight moved: biases of zero would hide a wrong name."""
    noise = seeded(seed)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.2 * torch.randn(weights.shape, generator=noise))
    return model.eval()


def random_config(seed: int) -> GPTConfig:
    draw = random.Random(seed)
    heads = draw.randint(1, 4)
    return GPTConfig(
        vocab_size=draw.randint(3, 60),
        context_length=draw.randint(2, 20),
        n_layers=draw.randint(1, 3),
        n_heads=heads,
        d_model=heads * draw.randint(2, 6),
        d_ff=draw.choice([0, 1, 7, 30]),
        dropout=draw.choice([0.0, 0.1]),
    )


def gpt(seed: int = 0) -> GPT:
    model: GPT = moved(GPT(random_config(seed), generator=seeded(seed)), seed)
    return model


def some_ids(model: GPT, n_rows: int = 3, seed: int = 0) -> Tensor:
    shape = (n_rows, model.context_length)
    return torch.randint(model.vocab_size, shape, generator=seeded(seed))


def check_equal(mine: GPT, theirs: GPT) -> None:
    assert mine.config == theirs.config
    assert mine.state_dict().keys() == theirs.state_dict().keys()
    for name, weights in mine.state_dict().items():
        assert torch.equal(weights, theirs.state_dict()[name]), name


def weights_file(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    change(saved)
    saved["digest"] = labkit.checkpoints._digest(saved)
    path.write_text(json.dumps(saved), encoding="utf-8")


@pytest.mark.parametrize("seed", range(4))
def test_what_was_saved_is_loaded_bit_for_bit(seed: int, tmp_path: Path) -> None:
    model, folder = gpt(seed), tmp_path / "a folder" / "with 猫"
    save_checkpoint(model.train(), folder)
    loaded = load_checkpoint(folder)
    check_equal(loaded, model)
    assert not loaded.training
    assert all(weights.requires_grad for weights in loaded.parameters())
    assert torch.equal(loaded(some_ids(model)), model.eval()(some_ids(model)))
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def test_parts_with_a_name_are_remembered_and_gpt_2_takes_none_of_them(tmp_path: Path) -> None:
    sizes = {"context_length": 20, "n_layers": 2, "n_heads": 2, "d_model": 8}
    config = GPTConfig(vocab_size=9, **sizes, ngram_order=3, ngram_rows=7)
    parts = named_parts({"norm": "rms", "turn": "rotary", "mlp": "squared_relu"})
    modern = moved(GPT(config, generator=seeded(), **parts)).eval()
    save_checkpoint(modern, tmp_path)
    again = load_checkpoint(tmp_path)
    ids = some_ids(modern)
    assert torch.equal(again(ids), modern(ids))
    assert names_of_parts(again) == {"norm": "rms", "turn": "rotary", "mlp": "squared_relu"}
    assert not torch.allclose(load_checkpoint(tmp_path, turn=None)(ids), modern(ids))
    expected = "GPT-2's parts, got norm rms, turn rotary, mlp squared_relu, ngram_order 3"
    with pytest.raises(ValueError, match=expected):
        to_hugging_face(modern)


def test_parts_without_a_name_are_given_again(tmp_path: Path) -> None:
    def backwards(x: Tensor, places: Tensor) -> Tensor:
        return rotate(x, -places)

    config = GPTConfig(vocab_size=9, context_length=20, n_layers=1, n_heads=2, d_model=8)
    model = moved(GPT(config, generator=seeded(), turn=backwards)).eval()
    save_checkpoint(model, tmp_path)
    ids = some_ids(model)
    assert torch.equal(load_checkpoint(tmp_path, turn=backwards)(ids), model(ids))
    with pytest.raises(ValueError, match=r"expected the parts that .*pass turn="):
        load_checkpoint(tmp_path)
    with pytest.raises(ValueError, match="got turn of your own"):
        to_hugging_face(model)


def test_a_checkpoint_is_json_and_safetensors(tmp_path: Path) -> None:
    model = gpt()
    save_checkpoint(model, tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert saved["model"]["d_model"] == model.config.d_model
    assert saved["weights"] == weights_file(tmp_path).name
    tensors = safetensors.torch.load_file(weights_file(tmp_path))
    assert sum(tensor.numel() for tensor in tensors.values()) == model.n_parameters


def test_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("pickle was used")

    for module, name in (
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "dumps"),
        (pickle, "Unpickler"),
        (torch, "save"),
        (torch, "load"),
    ):
        monkeypatch.setattr(module, name, refuse)
    save_checkpoint(gpt(), tmp_path)
    load_checkpoint(tmp_path)


def test_saving_the_same_again_changes_nothing(tmp_path: Path) -> None:
    save_checkpoint(gpt(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    save_checkpoint(gpt(), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_new_checkpoint_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("kept")
    save_checkpoint(gpt(0), tmp_path)
    save_checkpoint(gpt(1), tmp_path)
    check_equal(load_checkpoint(tmp_path), gpt(1))
    assert len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / "card.md").read_text() == "kept"


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("error", [OSError(28, "no space left on device"), KeyboardInterrupt()])
def test_saving_that_fails_midway_leaves_the_old_checkpoint(
    place: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(gpt(0), tmp_path)
    steps = iter(range(2))
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if next(steps) == place:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(error)):
        save_checkpoint(gpt(1), tmp_path)
    check_equal(load_checkpoint(tmp_path), gpt(0))
    monkeypatch.setattr(os, "replace", replace)
    save_checkpoint(gpt(1), tmp_path)
    check_equal(load_checkpoint(tmp_path), gpt(1))


def test_an_old_file_that_cannot_be_removed_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(gpt(0), tmp_path)

    def fail(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(f"{path} is in use")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fail)
        with pytest.raises(PermissionError):
            save_checkpoint(gpt(1), tmp_path)
    check_equal(load_checkpoint(tmp_path), gpt(1))


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def swap_weights_for_a_pickle(folder: Path) -> None:
    weights = weights_file(folder)
    data = pickle.dumps({"tokens.weight": [1.0]})
    name = labkit.checkpoints._file_name("model", data)
    weights.unlink()
    (folder / name).write_bytes(data)
    edit_config(folder, lambda saved: saved.update(weights=name))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte of the weights": (lambda f: flip_a_byte(weights_file(f)), "damaged"),
    "the end of the weights": (
        lambda f: os.truncate(weights_file(f), weights_file(f).stat().st_size - 1),
        "damaged",
    ),
    "no byte of weights": (lambda f: weights_file(f).write_bytes(b""), "damaged"),
    "a pickle as weights": (swap_weights_for_a_pickle, "to hold tensors"),
    "an empty configuration": (lambda f: (f / "config.json").write_bytes(b""), "JSONDecodeError"),
    "half a configuration": (lambda f: os.truncate(f / "config.json", 40), "JSONDecodeError"),
    "no text": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\xfa"), "UnicodeDecodeError"),
    "a list": (lambda f: (f / "config.json").write_text("[1]"), "TypeError"),
    "a number": (lambda f: (f / "config.json").write_text("3"), "TypeError"),
    "an unknown field": (lambda f: edit_config(f, lambda s: s["model"].update(depth=3)), "depth"),
    "a missing field": (lambda f: edit_config(f, lambda s: s["model"].pop("d_model")), "d_model"),
    "a contradiction": (lambda f: edit_config(f, lambda s: s["model"].update(n_heads=0)), "got 0"),
    "a text for a number": (
        lambda f: edit_config(f, lambda s: s["model"].update(n_layers="2")),
        "TypeError",
    ),
    "another width": (
        lambda f: edit_config(f, lambda s: s["model"].update(d_ff=99)),
        "that fit config.json",
    ),
    "another depth": (
        lambda f: edit_config(f, lambda s: s["model"].update(n_layers=9)),
        "that fit config.json",
    ),
    "a changed digest": (
        lambda f: (f / "config.json").write_text(
            re.sub(r'"digest": "\w', '"digest": "-', (f / "config.json").read_text())
        ),
        "one that was changed since",
    ),
    "no name of weights": (lambda f: edit_config(f, lambda s: s.pop("weights")), "weights"),
    "a path of weights": (
        lambda f: edit_config(f, lambda s: s.update(weights="../" + s["weights"])),
        r"'\.\./model-\w+\.safetensors' as a file of tensors",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_name(damage: str, tmp_path: Path) -> None:
    save_checkpoint(gpt(), tmp_path)
    break_it, message = DAMAGES[damage]
    break_it(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load_checkpoint(tmp_path)
    assert str(caught.value).startswith("expected")
    assert str(tmp_path) in str(caught.value)


def test_a_checkpoint_that_is_not_there_is_missed_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"got no config\.json there: save one"):
        load_checkpoint(tmp_path / "nowhere")
    save_checkpoint(gpt(), tmp_path)
    weights_file(tmp_path).unlink()
    with pytest.raises(FileNotFoundError, match=r"got no model-\w+\.safetensors there"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("save", [False, True])
def test_a_folder_of_another_kind_is_neither_read_nor_overwritten(
    save: bool, tmp_path: Path
) -> None:
    to_hugging_face(gpt()).save_pretrained(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="choose another folder"):
        save_checkpoint(gpt(), tmp_path) if save else load_checkpoint(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


THEIRS_TO_OURS = {
    "ln_1.weight": "norm_1.weight",
    "ln_1.bias": "norm_1.bias",
    "attn.c_attn.weight": "attention.qkv.weight",
    "attn.c_attn.bias": "attention.qkv.bias",
    "attn.c_proj.weight": "attention.out.weight",
    "attn.c_proj.bias": "attention.out.bias",
    "ln_2.weight": "norm_2.weight",
    "ln_2.bias": "norm_2.bias",
    "mlp.c_fc.weight": "mlp.up.weight",
    "mlp.c_fc.bias": "mlp.up.bias",
    "mlp.c_proj.weight": "mlp.down.weight",
    "mlp.c_proj.bias": "mlp.down.bias",
}
"""Written out, so that labkit's own shorter table is checked and not repeated."""


def pairs_of_names(n_layers: int) -> dict[str, str]:
    return {
        "transformer.wte.weight": "tokens.weight",
        "transformer.wpe.weight": "positions.weight",
        "transformer.ln_f.weight": "norm.weight",
        "transformer.ln_f.bias": "norm.bias",
    } | {
        f"transformer.h.{layer}.{theirs}": f"blocks.{layer}.{ours}"
        for layer in range(n_layers)
        for theirs, ours in THEIRS_TO_OURS.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_our_weights_give_the_same_logits_in_transformers(seed: int) -> None:
    ours = gpt(seed)
    theirs, ids = to_hugging_face(ours).double(), some_ids(ours)
    # In 64 bits nothing is left of rounding, so the bound can be far below any real difference.
    torch.testing.assert_close(theirs(ids).logits, ours.double()(ids), rtol=0, atol=1e-10)
    assert float(ours(ids).detach().std()) > 0.05
    assert theirs.num_parameters() == ours.n_parameters
    assert theirs.config.attn_pdrop == ours.config.dropout


@pytest.mark.parametrize("seed", range(8))
def test_their_weights_give_the_same_logits_here(seed: int) -> None:
    sizes = random_config(seed)
    config = GPT2Config(
        vocab_size=sizes.vocab_size,
        n_positions=sizes.context_length,
        n_embd=sizes.d_model,
        n_layer=sizes.n_layers,
        n_head=sizes.n_heads,
        n_inner=[None, 5, 4 * sizes.d_model][seed % 3],
        bos_token_id=0,
        eos_token_id=0,
    )
    theirs = moved(GPT2LMHeadModel(config), seed)
    ours = from_hugging_face(theirs)
    ids = some_ids(ours)
    assert ours.config.dropout == 0.1
    assert not ours.training
    torch.testing.assert_close(ours.double()(ids), theirs.double()(ids).logits, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_there_and_back_is_equal_bit_for_bit(seed: int) -> None:
    ours = gpt(seed)
    check_equal(from_hugging_face(to_hugging_face(ours)), ours)


def test_the_exchanged_models_share_no_memory() -> None:
    ours = gpt()
    theirs = to_hugging_face(ours)
    back = from_hugging_face(theirs)
    with torch.no_grad():
        for weights in theirs.parameters():
            weights.zero_()
    check_equal(ours, gpt())
    check_equal(back, gpt())


@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_the_loss_are_equal(seed: int) -> None:
    ours = gpt(seed)
    theirs, ids = to_hugging_face(ours).double(), some_ids(ours)
    ours.double()
    cross_entropy(ours(ids)[:, :-1], ids[:, 1:]).backward()
    theirs(ids, labels=ids).loss.backward()
    mine, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    names = pairs_of_names(ours.config.n_layers)
    assert names.keys() == other.keys()
    assert set(names.values()) == mine.keys()
    for their_name, our_name in names.items():
        gradient, expected = mine[our_name].grad, other[their_name].grad
        assert gradient is not None
        if ".c_" in their_name and gradient.ndim == 2:
            gradient = gradient.T
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6, msg=their_name)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_writing_is_equal(seed: int) -> None:
    config = GPTConfig(vocab_size=40, context_length=30, n_layers=2, n_heads=2, d_model=16)
    ours: GPT = moved(GPT(config, generator=seeded(seed)), seed)
    start = some_ids(ours)[:, :4]
    theirs: Any = to_hugging_face(ours)
    written = theirs.generate(
        start,
        attention_mask=torch.ones_like(start),
        max_new_tokens=26,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    mine = generate(ours, start, 26, generator=seeded(), temperature=0)
    assert torch.equal(mine, written)
    assert len(mine.unique()) > 5


def test_a_folder_of_transformers_loads_by_its_own_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ours = gpt(3)
    to_hugging_face(ours).save_pretrained(tmp_path)
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    ids = some_ids(ours)
    torch.testing.assert_close(loaded(ids).logits, ours(ids), rtol=0, atol=1e-5)
    check_equal(from_hugging_face(loaded), ours)
    assert not list(tmp_path.glob("*.bin"))


def test_half_precision_becomes_single() -> None:
    theirs = to_hugging_face(gpt()).half()
    ours = from_hugging_face(theirs)
    assert {weights.dtype for weights in ours.parameters()} == {torch.float32}
    assert torch.equal(ours.tokens.weight, theirs.transformer.wte.weight.float())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation_function", "relu"),
        ("activation_function", "gelu"),
        ("layer_norm_epsilon", 1e-6),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("add_cross_attention", True),
        ("tie_word_embeddings", False),
    ],
)
def test_what_gpt_2_does_not_have_is_refused(name: str, value: Any) -> None:
    sizes: dict[str, Any] = {
        "vocab_size": 9,
        "n_embd": 4,
        "n_layer": 1,
        "n_head": 2,
        "n_positions": 3,
    }
    config = GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, **{name: value})
    with pytest.raises(ValueError, match=rf"expected {name} .*got {value}"):
        from_hugging_face(GPT2LMHeadModel(config))


def test_dropout_that_differs_from_place_to_place_is_refused() -> None:
    theirs = to_hugging_face(gpt())
    theirs.config.attn_pdrop = 0.25
    with pytest.raises(ValueError, match=r"to be equal, got \(.*0\.25"):
        from_hugging_face(theirs)


def test_a_model_without_a_head_is_refused() -> None:
    headless: Any = to_hugging_face(gpt()).transformer
    with pytest.raises(ValueError, match="expected a GPT2LMHeadModel, got GPT2Model"):
        from_hugging_face(headless)


def test_transformers_is_loaded_only_by_an_exchange() -> None:
    program = "import sys, labkit.checkpoints; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_exchange_says_nothing_and_leaves_the_global_generator_alone(
    capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    state = torch.random.get_rng_state()
    ours = from_hugging_face(to_hugging_face(gpt()))
    ours(some_ids(ours))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
