"""What the receivers for Python have in common: see tests/receivers/README.md."""

import sys
from urllib.parse import parse_qs, urlsplit


def say(*words):
    print(*words, flush=True)


def received(number, data):
    """One line for a message that the application got."""
    if isinstance(data, str):
        say(number, "text", data.encode().hex())
    else:
        say(number, "binary", bytes(data).hex())


def ended(number, code, failed=""):
    """One line for a connection that has ended."""
    say(number, "end", code, failed)


def number_of(target):
    """The connection's id, of the query of its URL."""
    return parse_qs(urlsplit(target).query)["id"][0]


def arguments():
    """("server", []), or ("client", [(url, id), …])."""
    role, *more = sys.argv[1:]
    if role == "server":
        return role, []
    url, first, count = more
    numbers = range(int(first), int(first) + int(count))
    return role, [(f"{url}/{number % 10}?id={number}", str(number)) for number in numbers]
