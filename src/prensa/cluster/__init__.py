"""The same work on a Ray cluster: where it is, what its nodes have, and workers that are replaced when they end."""
