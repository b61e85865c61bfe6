"""A client of the `websockets` library: first_message.py PORT [MESSAGE...]

Sends each message at once, and reads until the connection ends or nothing has
come for three seconds (with `wait` as the only message, for thirty). Prints one
line of JSON: what came, the Close, and how many seconds after the upgrade.
"""

import asyncio
import json
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main(port, messages):
    connection = await connect(
        f"ws://127.0.0.1:{port}/ws", ping_interval=None, proxy=None, open_timeout=30
    )
    opened = time.monotonic()
    waits = messages == ["wait"]
    came, closed_after = [], None

    async def watch():
        # Without what the connection's own end takes.
        nonlocal closed_after
        while connection.protocol.close_rcvd is None:
            await asyncio.sleep(0.01)
        closed_after = time.monotonic() - opened

    watching = asyncio.create_task(watch())
    try:
        for message in [] if waits else messages:
            await connection.send(message)
        while True:
            came.append(await asyncio.wait_for(connection.recv(), 30 if waits else 3))
    except TimeoutError:
        await connection.close(1000, "done")
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    await asyncio.wait([watching], timeout=1)
    close = connection.protocol.close_rcvd
    print(json.dumps({
        "came": came,
        "code": close.code if close else None,
        "reason": close.reason if close else None,
        "seconds": closed_after,
    }), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
