"""The receiver of `autobahn`: see tests/receivers/README.md."""

import asyncio
import sys
from pathlib import Path

from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)

sys.path.insert(0, str(Path(__file__).parent.parent))
from common import arguments, ended, received, say  # noqa: E402


def accept_offer(offers):
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer)


def accept_answer(answer):
    if isinstance(answer, PerMessageDeflateResponse):
        return PerMessageDeflateResponseAccept(answer)


class Receiver:
    def onMessage(self, payload, isBinary):
        received(self.number, payload if isBinary else payload.decode())

    def onClose(self, wasClean, code, reason):
        if getattr(self, "number", None) is not None:
            ended(self.number, code, reason or "")


class Server(Receiver, WebSocketServerProtocol):
    number = None

    def onConnect(self, request):
        self.number = request.params["id"][0]


class Client(Receiver, WebSocketClientProtocol):
    pass


async def main():
    role, connections = arguments()
    loop = asyncio.get_running_loop()
    if role == "server":
        factory = WebSocketServerFactory()
        factory.protocol = Server
        factory.setProtocolOptions(perMessageCompressionAccept=accept_offer, openHandshakeTimeout=0)
        server = await loop.create_server(factory, "127.0.0.1", 0, backlog=1024)
        say(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()
    protocols = []
    for url, number in connections:
        factory = WebSocketClientFactory(url)
        factory.protocol = Client
        factory.setProtocolOptions(
            perMessageCompressionOffers=[PerMessageDeflateOffer()],
            perMessageCompressionAccept=accept_answer,
            openHandshakeTimeout=0,
        )
        _, protocol = await loop.create_connection(factory, factory.host, factory.port)
        protocol.number = number
        protocols.append(protocol)
    await asyncio.gather(*(protocol.is_closed for protocol in protocols))


asyncio.run(main())
