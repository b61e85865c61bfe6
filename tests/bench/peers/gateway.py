"""A gateway as teams write one: verifies the token, reads every message of the
client (JSON, size, patterns), and passes on what is good.

Its one argument is a JSON object with port, upstream, issuer, audience, keys,
patterns, max_message.
"""

import asyncio
import json
import re
import sys
from http import HTTPStatus

import jwt
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

RULES = json.loads(sys.argv[1])
KEYS = {key["kid"]: jwt.PyJWK(key, algorithm=key.get("alg")) for key in RULES["keys"]}
PATTERNS = re.compile("|".join(f"(?:{pattern})" for pattern in RULES["patterns"]), re.IGNORECASE)


def authorize(connection, request):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise jwt.InvalidTokenError("no token")
        key = KEYS[jwt.get_unverified_header(token)["kid"]]
        jwt.decode(token, key, [key.algorithm_name], issuer=RULES["issuer"], audience=RULES["audience"])
    except (jwt.InvalidTokenError, KeyError):
        return connection.respond(HTTPStatus.UNAUTHORIZED, "no valid token\n")
    return None


async def guard(client, upstream):
    async for message in client:
        text = message if isinstance(message, str) else message.decode()
        json.loads(text)
        if PATTERNS.search(text):
            await client.close(1008, "rule_matched")
            return
        await upstream.send(message)


async def back(upstream, client):
    async for message in upstream:
        await client.send(message)


async def handle(client):
    path = client.request.path
    options = {"compression": None, "max_size": RULES["max_message"], "ping_interval": None}
    async with connect(f"ws://{RULES['upstream']}{path}", **options) as upstream:
        ways = {asyncio.create_task(way) for way in (guard(client, upstream), back(upstream, client))}
        done, rest = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in rest:
            way.cancel()
        for way in done:
            try:
                way.result()
            except (ConnectionClosed, ValueError):
                pass


async def main():
    options = {"compression": None, "max_size": RULES["max_message"], "ping_interval": None}
    async with serve(handle, "127.0.0.1", RULES["port"], process_request=authorize, **options):
        await asyncio.Future()


asyncio.run(main())
