"""Tests of the coursework, and answers to every exercise as students might write them."""
