"""The version, in one place."""

from importlib.metadata import version

VERSION = version("prensa")
