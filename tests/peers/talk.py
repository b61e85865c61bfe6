"""A client of the `websockets` library: talk.py URL [STEP...]

A step sends a message and waits for the next one that comes: `say:WORDS`,
`text:CHARACTERS`, `binary:BYTES`; or it sends and does not wait, `send:WORDS`; or
waits for so long or for the next message, `wait:MILLISECONDS`; or until so many
pings have come in all, `pings:COUNT`. Then it closes with 1000. Prints one line of JSON: the messages that came (those over 200 bytes
as length and SHA-256), how many pings, which extensions were agreed, and the
Close that came; none of them where the handshake was refused.
"""

import asyncio
import hashlib
import json
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

CHARACTERS = "wsguard, größer, 日本語 🙂 "


def named(message):
    data = message.encode() if isinstance(message, str) else message
    if len(data) <= 200:
        return data.decode()
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()}"


def content(kind, value):
    if kind == "text":
        size = int(value)
        return (CHARACTERS * (size // len(CHARACTERS) + 1))[:size]
    if kind == "binary":
        size = int(value)
        return (bytes(i * i % 251 for i in range(4096)) * (size // 4096 + 1))[:size]
    return value


class Counting(ClientConnection):
    pings = 0

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.pinged = asyncio.Event()

    def process_event(self, event):
        if getattr(event, "opcode", None) is Opcode.PING:
            self.pings += 1
            self.pinged.set()
        super().process_event(event)


async def pinged(connection, count):
    closed = asyncio.create_task(connection.wait_closed())
    while connection.pings < count and not closed.done():
        connection.pinged.clear()
        news = asyncio.create_task(connection.pinged.wait())
        await asyncio.wait({news, closed}, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()


async def main(url, steps):
    try:
        connection = await connect(
            url, max_size=None, ping_interval=None, proxy=None, create_connection=Counting,
            open_timeout=None, close_timeout=None,
        )
    except InvalidStatus:
        print(json.dumps({"got": [], "pings": 0, "extensions": [], "code": None, "reason": None}))
        return
    got = []
    try:
        for step in steps:
            kind, _, value = step.partition(":")
            if kind == "wait":
                try:
                    got.append(named(await asyncio.wait_for(connection.recv(), int(value) / 1000)))
                except TimeoutError:
                    pass
                continue
            if kind == "pings":
                await pinged(connection, int(value))
                continue
            await connection.send(value if kind == "send" else content(kind, value))
            if kind != "send":
                got.append(named(await connection.recv()))
        await connection.close(1000, "done")
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    came = connection.protocol.close_rcvd
    print(json.dumps({
        "got": got,
        "pings": connection.pings,
        "extensions": [extension.name for extension in connection.protocol.extensions],
        "code": came.code if came else None,
        "reason": came.reason if came else None,
    }), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
