"""Models with fewer neurons, heads and layers, and what makes them answer as the original did."""
