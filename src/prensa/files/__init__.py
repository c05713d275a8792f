"""Files of any kind: written whole or not at all, temporary ones, and JSON that holds our own values."""
