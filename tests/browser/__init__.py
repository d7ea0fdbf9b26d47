"""Chapters and widgets in a real browser."""
