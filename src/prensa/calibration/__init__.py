"""What texts tell about a model: what its matrices see, and how much its outputs hang on each."""
