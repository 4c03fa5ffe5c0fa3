"""The agent of a managed node: standard library only, Python 3.6 to 3.13, shipped as one zipapp."""

__version__ = "0.1.0"
