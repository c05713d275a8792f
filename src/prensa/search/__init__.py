"""Find the smallest result that keeps a budget, by real evaluations."""
