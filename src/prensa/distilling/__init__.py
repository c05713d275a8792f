"""A model learns from its original on texts without labels: the trainer of all that learns."""
