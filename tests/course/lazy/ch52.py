"""Answers to exercises of chapter 52 that let labkit do the work."""

import torch

from labkit.finetune import best_spans
from labkit.tasks import encode_pieces, encode_tasks, word_f1


class Spelled:
    def __init__(self, end):
        self.end = end

    def encode(self, text):
        return [int(number) for number in text.split()]


def spelled(ids):
    return " ".join(map(str, ids))


def my_f1__lazy(written, truth):
    return word_f1(" ".join(written), " ".join(truth))


def my_targets__lazy(prompt, answer, end):
    pieces = [(spelled(prompt), False), (spelled(answer), True)]
    return encode_pieces(Spelled(end), pieces)[1]


def my_targets__lazy_by_tasks(prompt, answer, end):
    pieces = [(spelled(prompt), False), (spelled(answer), True)]
    return encode_tasks(Spelled(end), [pieces], 100)[1][0]


def my_best_span__lazy(start, end, longest):
    scores = torch.stack([torch.from_numpy(start), torch.from_numpy(end)])[None]
    return best_spans(scores, longest)[0]
