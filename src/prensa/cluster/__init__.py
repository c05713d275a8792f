"""The same work on a Ray cluster: where it is, what its nodes have, workers that are replaced, tasks."""
