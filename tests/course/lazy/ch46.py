"""Answers to exercises of chapter 46 that let labkit do the work."""

from labkit.metrics import ratio_interval


def my_excess__lazy(bits, log2_probs, chars):
    return ratio_interval(bits + log2_probs, chars)[0]
