"""Tests of labkit, of the chapters and of the tools around them."""
