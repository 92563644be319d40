"""What can go wrong, by what the caller can do about it."""


class LabError(Exception):
    """The lab could not do what was asked; the message says why and what to do. Exit status 1."""


class UnknownError(LabError):
    """A name or an argument that makes no sense here. Exit status 2."""
