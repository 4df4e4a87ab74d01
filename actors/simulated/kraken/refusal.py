"""How the venue says no."""


class Refusal(Exception):
    """The venue's own words, such as EOrder:Insufficient funds. Nothing came of the request."""
