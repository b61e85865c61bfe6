"""Both ends of Socket.IO by `python-socketio`: socketio_peer.py server, or
socketio_peer.py client PORT TOKEN.

The server prints its port, then a line of JSON for everything that reaches it.
The client connects two namespaces with its token, has a word echoed in each and
by bytes, stays over a heartbeat, and prints what came of it as one line.
"""

import asyncio
import json
import sys

import socketio
from aiohttp import web

NAMESPACES = ["/", "/admin"]


def tell(**what):
    print(json.dumps(what), flush=True)


async def serve():
    # A short heartbeat, so that one is seen.
    server = socketio.AsyncServer(
        async_mode="aiohttp", cors_allowed_origins="*", ping_interval=1, ping_timeout=3
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


async def run(port, token):
    client = socketio.AsyncClient(reconnection=False)
    gone = asyncio.Event()
    client.on("disconnect", lambda *_: gone.set())
    try:
        await client.connect(
            f"http://127.0.0.1:{port}", auth={"token": token, "tenant": "a"},
            transports=["websocket"], namespaces=NAMESPACES, wait_timeout=10,
        )
    except socketio.exceptions.ConnectionError:
        tell(connected=False)
        return
    words = [await client.call("say", "hello", namespace=name) for name in NAMESPACES]
    words.append((await client.call("say", b"bytes")).decode())
    await asyncio.sleep(2.5)
    words.append(await client.call("say", "later"))
    await client.disconnect()
    tell(connected=True, words=words)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(serve())
    else:
        asyncio.run(run(int(sys.argv[2]), sys.argv[3]))
