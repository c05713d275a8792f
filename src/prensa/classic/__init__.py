"""The two scripts of the classic tool, with the names and switches that its users know."""
