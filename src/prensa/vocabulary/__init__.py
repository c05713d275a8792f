"""Smaller vocabularies: which pieces stay, and everything in a model that counts them."""
