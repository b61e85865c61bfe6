"""A client of the `websockets` library: client.py PORT [MESSAGE...]

Sends each message and waits for its echo. A message is `text:SIZE`,
`binary:SIZE`, `parts:SIZE` (text in fragments) or `say:WORDS`. Prints one line
of JSON: how many echoes came back just as sent, which extensions were agreed,
and the Close that came.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

CHARACTERS = "wsguard, größer, 日本語 🙂 "


def message(word):
    kind, _, value = word.partition(":")
    if kind == "say":
        return value, value
    size = int(value)
    if kind == "binary":
        data = bytes(i * i % 251 for i in range(4096)) * (size // 4096 + 1)
        return data[:size], data[:size]
    text = (CHARACTERS * (size // len(CHARACTERS) + 1))[:size]
    if kind == "parts":
        return [text[i:i + size // 7 + 1] for i in range(0, size, size // 7 + 1)], text
    return text, text


async def main(port, words):
    echoed = 0
    headers = {"X-User-Id": "mallory"}
    connection = await connect(
        f"ws://127.0.0.1:{port}/ws", max_size=None, ping_interval=None, proxy=None,
        additional_headers=headers, open_timeout=None, close_timeout=None,
    )
    try:
        for word in words:
            sent, expected = message(word)
            await connection.send(sent)
            echoed += await connection.recv() == expected
        await connection.close(1000, "done")
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    came = connection.protocol.close_rcvd
    print(json.dumps({
        "echoed": echoed,
        "extensions": [extension.name for extension in connection.protocol.extensions],
        "code": came.code if came else None,
        "reason": came.reason if came else None,
    }), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
