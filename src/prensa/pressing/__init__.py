"""A recipe and a model: plan what happens to each tensor, then do it."""
