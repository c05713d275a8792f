"""Healing: what a compressed file stores beside its integers learns the original's answers."""
