"""A model written for another runtime, its answers compared with PyTorch's, and loaded to answer."""
