"""An echo server of the `websockets` library, with its own keepalive:
keepalive.py INTERVAL TIMEOUT

It pings each client every INTERVAL seconds and closes with 1011 where no Pong has come
within TIMEOUT. Prints its port, then one line of JSON for each connection that has
ended: how many messages it echoed, and the Close that it sent first, if it did.
"""

import asyncio
import json
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def echo(connection):
    messages = 0
    try:
        while True:
            await connection.send(await connection.recv())
            messages += 1
    except ConnectionClosed as closed:
        sent = closed.sent if closed.rcvd_then_sent is not True else None
        print(json.dumps({
            "messages": messages,
            "code": sent.code if sent else None,
            "reason": sent.reason if sent else None,
        }), flush=True)


async def main(interval, timeout):
    async with serve(
        echo, "127.0.0.1", 0, ping_interval=interval, ping_timeout=timeout, open_timeout=None,
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(*map(float, sys.argv[1:3])))
    except KeyboardInterrupt:
        sys.exit(0)
