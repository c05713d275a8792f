"""Texts: read from files and data sets, with their labels, and turned into rows of token ids."""
