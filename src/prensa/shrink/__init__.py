"""Feed-forward neurons, attention heads and whole layers taken away, and the smaller model written."""
