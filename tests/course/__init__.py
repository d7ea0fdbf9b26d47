"""Tests of the coursework."""
