"""Structure: which neurons, heads and layers a model can do without, and what makes good for them."""
