"""Both ends of Socket.IO by `python-socketio`: socketio_peer.py server, or
socketio_peer.py client PORT TOKEN.

The server prints its port, then a line of JSON for everything that reaches it.
The client connects two namespaces with its token, has a word echoed in each and
by bytes, stays over two heartbeats, and prints what came of it as one line.
"""

import asyncio
import json
import sys

import socketio
from aiohttp import web
from engineio import packet

NAMESPACES = ["/", "/admin"]
# How long anything that must happen may take on a busy machine.
PATIENCE_S = 300


def tell(**what):
    print(json.dumps(what), flush=True)


async def serve():
    # A short heartbeat, so that one is seen.
    server = socketio.AsyncServer(
        async_mode="aiohttp", cors_allowed_origins="*", ping_interval=1, ping_timeout=PATIENCE_S
    )

    def handlers(namespace):
        async def connect(sid, environ, auth=None):
            tell(event="connect", namespace=namespace, auth=auth)

        async def say(sid, word):
            tell(event="say", namespace=namespace, word=str(word))
            return word

        server.on("connect", connect, namespace=namespace)
        server.on("say", say, namespace=namespace)

    for namespace in NAMESPACES:
        handlers(namespace)
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    tell(port=site._server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


class Client(socketio.AsyncClient):
    """Tells when a namespace has been connected, a heartbeat has come, and the end."""

    def __init__(self):
        super().__init__(reconnection=False)
        self.connected_to = {name: asyncio.Event() for name in NAMESPACES}
        self.beats, self.ended = asyncio.Semaphore(0), asyncio.Event()
        for name, event in self.connected_to.items():
            self.on("connect", event.set, namespace=name)
        self._receive_packet, self.eio._receive_packet = self.eio._receive_packet, self._count
        self.eio.on("disconnect", self._end)

    async def _count(self, received):
        if received.packet_type == packet.PING:
            self.beats.release()
        await self._receive_packet(received)

    async def _end(self, *reason):
        self.ended.set()
        await self._handle_eio_disconnect(*reason)

    async def is_connected(self):
        """Waits until all namespaces are, or the connection has ended."""
        all_of_them = asyncio.gather(*(event.wait() for event in self.connected_to.values()))
        end = asyncio.create_task(self.ended.wait())
        await asyncio.wait({all_of_them, end}, return_when=asyncio.FIRST_COMPLETED)
        connected = all_of_them.done()
        all_of_them.cancel()
        end.cancel()
        return connected


async def run(port, token):
    client = Client()
    await client.connect(
        f"http://127.0.0.1:{port}", auth={"token": token, "tenant": "a"},
        transports=["websocket"], namespaces=NAMESPACES, wait=False,
    )
    if not await client.is_connected():
        tell(connected=False)
        return

    def say(word, namespace="/"):
        return client.call("say", word, namespace=namespace, timeout=PATIENCE_S)

    words = [await say("hello", name) for name in NAMESPACES]
    words.append((await say(b"bytes")).decode())
    for _ in range(2):
        await client.beats.acquire()
    words.append(await say("later"))
    await client.disconnect()
    tell(connected=True, words=words)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(serve())
    else:
        asyncio.run(run(int(sys.argv[2]), sys.argv[3]))
