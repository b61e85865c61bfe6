"""A client of the `websockets` library: first_message.py PORT COUNT [MESSAGE...]

Sends each message at once, and reads until COUNT messages have come or the
connection has ended. Prints one line of JSON: what came, and the Close.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main(port, count, messages):
    connection = await connect(
        f"ws://127.0.0.1:{port}/ws", ping_interval=None, proxy=None, open_timeout=None,
        close_timeout=None,
    )
    came = []
    try:
        for message in messages:
            await connection.send(message)
        while len(came) < count:
            came.append(await connection.recv())
        await connection.close(1000, "done")
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    close = connection.protocol.close_rcvd
    print(json.dumps({
        "came": came,
        "code": close.code if close else None,
        "reason": close.reason if close else None,
    }), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
