"""An echo server of the `websockets` library.

Prints its port, then one line of JSON for each connection that has ended: how
many messages it echoed, which extensions were agreed, the Close that came, and
how many Pongs came that it had not asked for.
"""

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode


class Counting(ServerConnection):
    pongs = 0

    def process_event(self, event):
        if getattr(event, "opcode", None) is Opcode.PONG:
            self.pongs += 1
        super().process_event(event)


async def echo(connection):
    messages = 0
    try:
        while True:
            await connection.send(await connection.recv())
            messages += 1
    except ConnectionClosed as closed:
        came = closed.rcvd
        print(json.dumps({
            "messages": messages,
            "pongs": connection.pongs,
            "extensions": [extension.name for extension in connection.protocol.extensions],
            "headers": dict(connection.request.headers.raw_items()),
            "code": came.code if came else None,
            "reason": came.reason if came else None,
        }), flush=True)


async def main():
    async with serve(
        echo, "127.0.0.1", 0, max_size=None, ping_interval=None, create_connection=Counting,
        open_timeout=None, close_timeout=None,
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
