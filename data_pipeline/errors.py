"""The exceptions that are a user's to mend."""


class UserError(Exception):
    """A mistake of the user's, told in one line: what, the rule, what came.

    `cli.run` prints it without a traceback and exits with 1.
    """


class DatasetError(UserError, ValueError):
    """A converted data set that is missing, incomplete or of another task."""
