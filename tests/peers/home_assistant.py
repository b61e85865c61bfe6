"""Home Assistant's WebSocket API, as far as clients need it to connect.

home_assistant.py serve TOKEN         a server; prints its port, then a line for each
                                      first message that came
home_assistant.py connect URL TOKEN   the client `hass-client`; prints JSON: the version
                                      that it was told, and what failed
"""

import asyncio
import json
import sys

VERSION = "2026.11.1"


async def serve(token):
    from websockets.asyncio.server import serve as listen
    from websockets.exceptions import ConnectionClosed

    async def talk(connection):
        say = lambda **message: connection.send(json.dumps(message))
        await say(type="auth_required", ha_version=VERSION)
        first = await connection.recv()
        print(first, flush=True)
        message = json.loads(first)
        if message.get("type") != "auth" or message.get("access_token") != token:
            await say(type="auth_invalid", message="Invalid access token or password")
            return
        await say(type="auth_ok", ha_version=VERSION)
        try:
            async for text in connection:
                command = json.loads(text)
                if command["type"] == "ping":
                    await say(id=command["id"], type="pong")
                else:
                    result = {"version": VERSION, "echo": command["type"]}
                    await say(id=command["id"], type="result", success=True, result=result)
        except ConnectionClosed:
            pass

    async with listen(talk, "127.0.0.1", 0, open_timeout=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


async def connect(url, token):
    import aiohttp
    from hass_client import HomeAssistantClient
    from hass_client.exceptions import BaseHassClientError

    version, failed = None, None
    async with aiohttp.ClientSession() as session:
        client = HomeAssistantClient(url, token, session)
        try:
            await client.connect()
            listening = asyncio.create_task(client.start_listening())
            answer = await client.send_command("get_config")
            version = answer["version"]
            await client.disconnect()
            listening.cancel()
        except (BaseHassClientError, TypeError, aiohttp.ClientError) as error:
            failed = type(error).__name__
    print(json.dumps({"version": version, "failed": failed}), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run({"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(0)
