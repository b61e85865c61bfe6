"""The receiver of `aiohttp`: see tests/receivers/README.md."""

import asyncio
import sys
from pathlib import Path

import aiohttp
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent.parent))
from common import arguments, ended, number_of, received, say  # noqa: E402


async def receive(socket, number):
    async for message in socket:
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            received(number, message.data)
    ended(number, socket.close_code, socket.exception() or "")


async def handle(request):
    socket = web.WebSocketResponse(compress=True, max_msg_size=0)
    await socket.prepare(request)
    await receive(socket, number_of(request.path_qs))
    return socket


async def client(session, url, number):
    try:
        async with session.ws_connect(url, compress=15, max_msg_size=0) as socket:
            await receive(socket, number)
    except Exception as failed:
        ended(number, 0, failed)


async def main():
    role, connections = arguments()
    if role == "client":
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(client(session, *connection) for connection in connections))
        return
    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    say(runner.addresses[0][1])
    await asyncio.Event().wait()


asyncio.run(main())
