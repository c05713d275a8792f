"""The only code that touches weight files."""
