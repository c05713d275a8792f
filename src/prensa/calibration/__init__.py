"""What texts show of a model: what its matrices see, and how much its outputs depend on each."""
