"""What executes a pressed model."""
