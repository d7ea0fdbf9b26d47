"""Measurements of labkit's speed and memory: `make bench` records them as CSV."""
