"""Exports laid out as other programs look for them, one module for each program."""
