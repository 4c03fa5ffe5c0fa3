"""What every manager may raise."""


class ManagerError(Exception):
    """The package manager cannot be asked at all; the message says why and what repairs it."""
