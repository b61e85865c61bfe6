"""The receiver of `websockets`: see tests/receivers/README.md."""

import asyncio
import sys
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

sys.path.insert(0, str(Path(__file__).parent.parent))
from common import arguments, ended, number_of, received, say  # noqa: E402

OPTIONS = {"max_size": None, "ping_interval": None, "open_timeout": None}


async def receive(connection, number):
    try:
        while True:
            received(number, await connection.recv())
    except ConnectionClosed as closed:
        ended(number, closed.rcvd.code if closed.rcvd else 1006, closed)


async def client(url, number):
    try:
        async with connect(url, proxy=None, **OPTIONS) as connection:
            await receive(connection, number)
    except Exception as failed:
        ended(number, 0, failed)


async def main():
    role, connections = arguments()
    if role == "client":
        await asyncio.gather(*(client(*connection) for connection in connections))
        return
    handler = lambda connection: receive(connection, number_of(connection.request.path))  # noqa: E731
    async with serve(handler, "127.0.0.1", 0, **OPTIONS) as server:
        say(server.sockets[0].getsockname()[1])
        await server.serve_forever()


asyncio.run(main())
