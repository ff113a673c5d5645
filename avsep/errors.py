"""The one exception that a user may see: what is wrong, where, and what to do, in one line."""


class InputError(Exception):
    """Bad input: a param, a file, a checkpoint. Its message is one line for the user."""
