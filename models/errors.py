"""The error for wrong input, and the warning for input that was read only in part."""

import re


class InputError(ValueError):
    """Wrong input, in one sentence: what was got, what is needed, what to do.

    The command line prints it and exits with code 2; the screen shows it as a message and keeps running. A value of
    the input that is quoted in it and very long, as a damaged file may hold, is shortened.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(shorten_words(one) if isinstance(one, str) else one for one in args))


def shorten_words(text: str, at_most: int = 400) -> str:
    """A text whose words without a space are cut in the middle where they are longer than a path ever is.

    Parameters
    ----------
    text : str
        A message.
    at_most : int, optional
        Length of the longest word that stays whole.

    Returns
    -------
    str
    """
    if len(text) <= at_most:
        return text
    # The head and the tail of a long word, such as a path or URL, tell what it is; the middle does not.
    return re.sub(rf"\S{{{at_most + 1},}}", lambda match: f"{match[0][:60]}...{match[0][-20:]}", text)


class DataWarning(UserWarning):
    """Part of the input was left out or read in a way the user should know of; reading went on.

    One warning per file or folder, with counts and names: files, dates, pixels or rows. The command line prints
    it on one line of stderr.
    """
