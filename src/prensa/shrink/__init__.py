"""Smaller models of the same kind: neurons, attention heads and layers taken away."""
