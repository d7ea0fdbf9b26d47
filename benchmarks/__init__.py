"""Measurements of labkit's speed and memory: `make bench` writes the table `results.md`."""
