"""The command line. A command is: parse, one call of the API, print."""
