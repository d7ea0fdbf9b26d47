"""Measurements that take longer than a chapter may: `make experiments` records them as CSV."""
