"""Measurements: cases, comparisons, decisions. Imports zoo."""
