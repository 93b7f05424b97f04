"""The one error that means: the user's input is wrong."""


class InputError(ValueError):
    """Wrong input, told in one sentence: what was got, what is needed, what to do.

    The command line prints it and exits with code 2; the screen shows it as a message and keeps running.
    """


class DataWarning(UserWarning):
    """Something was left out or converted while reading a user's data."""
