"""Opens a WebSocket with `websockets` and says what came of it.

connect.py URL [NAME:VALUE | subprotocol=NAME]...

Prints a JSON object: status, and the problem document, of a refusal by HTTP;
subprotocol and echo, code and reason of the Close, of a WebSocket.
"""

import json
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def main(url, *options):
    subprotocols = [o.partition("=")[2] for o in options if o.startswith("subprotocol=")]
    headers = [o.split(":", 1) for o in options if not o.startswith("subprotocol=")]
    told = {}
    try:
        with connect(
            url, additional_headers=headers, subprotocols=subprotocols or None, proxy=None,
            ping_interval=None, open_timeout=None, close_timeout=None,
        ) as socket:
            told["subprotocol"] = socket.subprotocol
            try:
                socket.send("hello")
                told["echo"] = socket.recv()
                socket.close()
            except ConnectionClosed:
                pass
            told["code"], told["reason"] = socket.close_code, socket.close_reason
    except InvalidStatus as error:
        told["status"] = error.response.status_code
        told["problem"] = json.loads(error.response.body)
    print(json.dumps(told))


main(*sys.argv[1:])
