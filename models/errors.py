"""The error for wrong input, and the warning for input that was read only in part."""


class InputError(ValueError):
    """Wrong input, in one sentence: what was got, what is needed, what to do.

    The command line prints it and exits with code 2; the screen shows it as a message and keeps running.
    """


class DataWarning(UserWarning):
    """Part of the input was left out or read in a way the user should know of; reading went on.

    One warning per file or folder, with counts and names: files, dates, pixels or rows. The command line prints
    it on one line of stderr.
    """
