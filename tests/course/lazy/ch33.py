"""Answers to exercises of chapter 33 that let labkit do the work."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from labkit.functional import attend
from labkit.gpt import GPT, MLP, Attention, Block
from labkit.metrics import token_log_probs


def my_count_parameters__lazy(config):
    return GPT(config, generator=torch.Generator()).n_parameters


def n_weights(part):
    return sum(weight.numel() for weight in part.parameters())


def my_count_parameters__lazy_by_block(config):
    outside = (config.vocab_size + config.context_length + 2) * config.d_model
    return outside + config.n_layers * n_weights(Block(config))


def my_count_parameters__lazy_by_parts(config):
    block = n_weights(Attention(config)) + n_weights(MLP(config)) + 4 * config.d_model
    outside = (config.vocab_size + config.context_length + 2) * config.d_model
    return outside + config.n_layers * block


def my_forward_flops__lazy(config):
    model = GPT(config, generator=torch.Generator(), attend=attend)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, config.context_length, dtype=torch.long))
    return counter.get_total_flops()


class Recorded:
    context_length = None

    def __init__(self, logits):
        self.logits = logits

    def new_cache(self):
        return None

    def __call__(self, ids, cache):
        return self.logits[:, : ids.shape[1]]


def my_next_token_loss__lazy(logits, ids):
    rows = zip(logits, ids, strict=True)
    return -sum(token_log_probs(Recorded(x[None]), y[None]).mean() for x, y in rows) / len(ids)
