"""Ways in which applications in Python read a message and act on it.

Reads a line for each message, what kind of application it is for and its bytes in
hex, and prints the rooms that were joined, as a JSON list.
"""

import json
import sys


def texts(data):
    """The message as text, by every way in which programs make one."""
    for reading in (
        lambda: data,  # json.loads finds UTF-16, UTF-32 and a byte order mark itself
        lambda: data.decode(),
        lambda: data.decode("utf-8-sig"),
        lambda: data.decode("utf-8", "ignore"),
        lambda: data.decode("utf-8", "replace"),
        lambda: data.decode().strip(),
        lambda: data.decode().rstrip("\0\x1e"),
    ):
        try:
            yield reading()
        except ValueError:
            pass


def equal(message, join):
    if message.get("type") == "join" or message.get("op") == 1:
        join(message["room"])


def table(message, join):
    handlers = {"join": lambda: join(message["room"]), "say": lambda: None}
    codes = {1: lambda: join(message["room"]), 2: lambda: None}
    for handler in (handlers.get(message.get("type")), codes.get(message.get("op"))):
        if handler:
            handler()


def matched(message, join):
    match message:
        case {"type": "join", "room": room}:
            join(room)
        case {"op": 1, "room": room}:
            join(room)
        case {"method": "join", "params": [room, *_]}:
            join(room)
        case {"method": "join", "params": {**named}}:
            join(next(iter(named.values())))


def cast(message, join):
    if int(message["op"]) == 1:
        join(message["room"])


def lowered(message, join):
    message = {name.lower(): value for name, value in message.items()}
    if message.get("type") == "join" or message.get("op") == 1:
        join(message["room"])


def batch(message, join):
    for request in message if isinstance(message, list) else [message]:
        matched(request, join)


def again(message, join):
    while isinstance(message, str):
        message = json.loads(message)
    for one in message if isinstance(message, list) else [message]:
        matched(json.loads(one) if isinstance(one, str) else one, join)


def zero(message, join):
    if message.get("op", 0) == 0:
        join(message["room"])


def zero_cast(message, join):
    if int(message.get("op") or 0) == 0:
        join(message["room"])


def topic(message, join):
    _, _, room, event, *_ = message
    if event == "phx_join":
        join(room)


WAYS = {
    "json": [equal, table, matched, cast, lowered, batch, again],
    "zero": [zero, zero_cast],
    "list": [topic],
}


def packet(data, join):
    """As python-socketio's `Packet.decode` does."""
    text = data.decode()
    if int(text[0]) != 4 or int(text[1]) not in (2, 5):
        return
    text = text[2:]
    dash = text.find("-")
    if dash > 0 and text[:dash].isdigit():
        text = text[dash + 1 :]
    if text[:1] == "/":
        text = text.split(",", 1)[1]
    text = text.lstrip("0123456789")
    event, argument = json.loads(text)
    if event == "join":
        join(argument["room"])


def attempt(way, *arguments):
    try:
        way(*arguments)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError, StopIteration, RecursionError):
        pass  # what can't be read joins nothing


def joins(mode, data):
    rooms = set()

    def join(room):
        if room is not None:
            rooms.add(str(room).encode(errors="replace").decode())

    if mode == "packet":
        attempt(packet, data, join)
        return sorted(rooms)
    for text in texts(data):
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            continue
        for way in WAYS[mode]:
            attempt(way, message, join)
    return sorted(rooms)


for line in sys.stdin:
    kind, _, message_hex = line.strip().partition(" ")
    print(json.dumps(joins(kind, bytes.fromhex(message_hex))), flush=True)
