"""Answers to all texts of files of any length: read in windows, answered, written whole, gone on with."""
