"""The application behind the guard: a chat room.

    upstream.py [PORT]

Whatever a member says goes to all members, itself included, unchanged. It is an
ordinary server on the `websockets` library and knows nothing of wsguard, but
writes down what reaches it: one JSON line on standard output when it listens
(`listening`), at each opening handshake (`opened`), message (`message`) and end
(`closed`). The end says which frames came in and how many bytes they were, so
that it can be told whether anything else arrived that never made a message.
"""

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol

# Headers in which a credential might have come through.
CREDENTIAL_HEADERS = ("authorization", "x-api-key", "sec-websocket-protocol")


def record(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


class Member(ServerConnection):
    """A connection that counts the bytes and frames it receives after the 101."""

    def __init__(self, protocol: ServerProtocol, *args, **kwargs):
        super().__init__(protocol, *args, **kwargs)
        self.received_bytes = 0
        self.frames = []
        receive_frame = protocol.recv_frame

        def recv_frame(frame):
            self.frames.append([frame.opcode.name, len(frame.data)])
            receive_frame(frame)

        protocol.recv_frame = recv_frame

    def data_received(self, data):
        if self.response is not None:
            self.received_bytes += len(data)
        super().data_received(data)


members = set()


async def take_part(member):
    agent = member.request.headers.get("user-agent")
    present = [name for name in CREDENTIAL_HEADERS if name in member.request.headers]
    record("opened", agent=agent, path=member.request.path, credentials=present,
           user=member.request.headers.get("x-user-id"))
    members.add(member)
    try:
        async for message in member:
            record("message", agent=agent, length=len(message))
            broadcast(members, message)
    except ConnectionClosed:
        pass
    finally:
        members.discard(member)
        record("closed", agent=agent, code=member.close_code, bytes=member.received_bytes,
               frames=member.frames)


async def main(port):
    async with serve(take_part, "127.0.0.1", port, create_connection=Member,
                     max_size=16 << 20, ping_interval=None) as server:
        record("listening", port=server.sockets[0].getsockname()[1])
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8765))
    except KeyboardInterrupt:
        pass
