"""Which files of a model directory say how texts are read and answered, and which only tell of it."""

from __future__ import annotations

WITHOUT_EFFECT = frozenset({"manifest.json", "search.json", "results.json", "generation_config.json"})
"""Files that change no answer, although others of their kind do."""

READ = frozenset({".json", ".txt", ".model", ".spm"})
"""Suffixes of what is read beside the weights: config, vocabulary, Sentence Transformers' modules."""

WEIGHTS = frozenset({".safetensors", ".bin"})
"""Suffixes of weights beside the model's own, as of Dense layers."""
