"""Answers to exercises of chapter 53 that let labkit do the work."""

from labkit.tasks import encode_pieces, encode_tasks


class Numbers:
    """A tokenizer of texts that are ids already."""

    def __init__(self, end):
        self.end = end

    def encode(self, text):
        return list(text)


def my_segment_targets__lazy(segments, end):
    return encode_pieces(Numbers(end), segments)[1]


def my_segment_targets__table(segments, end):
    return encode_tasks(Numbers(end), [segments], 1000)[1][0].tolist()
