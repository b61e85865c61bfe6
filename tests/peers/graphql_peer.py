"""GraphQL over WebSocket: graphql_peer.py server, or
graphql_peer.py client PORT PROTOCOL TOKEN.

The client is `gql`; PROTOCOL is graphql-transport-ws or the older graphql-ws. The
server answers every subscription with two words. It prints its port, then each
message that reaches it and each connection's end; the client prints what came as one line of JSON.
"""

import asyncio
import json
import sys

from gql import Client, gql
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

PROTOCOLS = ["graphql-transport-ws", "graphql-ws"]


def tell(what):
    print(json.dumps(what), flush=True)


async def answer(connection):
    send = lambda **message: connection.send(json.dumps(message))
    data = "next" if connection.subprotocol == PROTOCOLS[0] else "data"
    try:
        async for text in connection:
            message = json.loads(text)
            tell(message)
            if message["type"] == "connection_init":
                await send(type="connection_ack")
            elif message["type"] in ("subscribe", "start"):
                for word in ["one", "two"]:
                    await send(type=data, id=message["id"], payload={"data": {"words": word}})
                await send(type="complete", id=message["id"])
    except ConnectionClosed:
        pass
    tell({"type": "ended"})


async def server():
    async with serve(
        answer, "127.0.0.1", 0, subprotocols=PROTOCOLS, ping_interval=None, open_timeout=None, close_timeout=None,
    ) as listening:
        tell({"port": listening.sockets[0].getsockname()[1]})
        await listening.serve_forever()


async def client(port, protocol, token):
    transport = WebsocketsTransport(
        url=f"ws://127.0.0.1:{port}/graphql", init_payload={"Authorization": f"Bearer {token}"},
        subprotocols=[protocol], connect_timeout=None, close_timeout=None, ack_timeout=None,
    )
    words = []
    try:
        async with Client(transport=transport) as session:
            async for result in session.subscribe(gql("subscription { words }")):
                words.append(result["words"])
    except (ConnectionClosed, TransportError) as error:
        close = getattr(error.__cause__ or error, "rcvd", None)
        tell({"words": words, "code": close and close.code, "reason": close and close.reason})
        return
    tell({"words": words})


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(server())
    else:
        asyncio.run(client(int(sys.argv[2]), sys.argv[3], sys.argv[4]))
