"""Smaller vocabularies: which tokens stay, and everything in a model that counts them."""
