"""Peers for envoy/tls.yaml, made of `websockets`, `h2` and the ssl module.

tls.py serve FOLDER STEM     an echo server that wants a client certificate of
                             FOLDER/ca.crt and shows FOLDER/STEM.crt; prints
                             its port, then "opened" for each connection
tls.py probe FOLDER TLS PLAIN    tries both ports of the edge; prints JSON
"""

import http.client
import json
import pathlib
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
from websockets.sync.client import connect
from websockets.sync.server import serve

# How long anything that must happen may take on a busy machine.
PATIENCE_S = 300


def serve_echo(folder, stem):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / f"{stem}.crt", folder / f"{stem}.key")

    def echo(connection):
        print("opened", flush=True)
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, ssl=context, ping_interval=None, open_timeout=None, close_timeout=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


def context_for(folder, alpn=None, **versions):
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    if alpn:
        context.set_alpn_protocols([alpn])
    if versions:
        # Old versions need old algorithms, or the client would refuse itself.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    for name, value in versions.items():
        setattr(context, name, value)
    return context


def talk(folder, port):
    with connect(
        f"wss://127.0.0.1:{port}/ws", ssl=context_for(folder), proxy=None, compression=None,
        ping_interval=None, open_timeout=None, close_timeout=None,
    ) as websocket:
        websocket.send("hello over TLS")
        echoed = websocket.recv(timeout=PATIENCE_S)
        return {"version": websocket.socket.version(), "echoed": echoed}


def refused(folder, port, version):
    context = context_for(folder, minimum_version=version, maximum_version=version)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as raw:
            context.wrap_socket(raw, server_hostname="127.0.0.1").close()
    except ssl.SSLError as error:
        return error.reason
    return None


def plain_answer(folder, port, path):
    edge = http.client.HTTPSConnection("127.0.0.1", port, context=context_for(folder), timeout=PATIENCE_S)
    edge.request("GET", path)
    answer = edge.getresponse()
    return {"status": answer.status, "headers": {k.lower(): v for k, v in answer.getheaders()}}


UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def redirected(port, headers):
    edge = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    edge.request("GET", "/ws?room=1", headers=headers)
    answer = edge.getresponse()
    return {"status": answer.status, "location": answer.getheader("location")}


class Http2:
    """One connection, and on it one WebSocket by extended CONNECT."""

    def __init__(self, folder, port):
        raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket = context_for(folder, alpn="h2").wrap_socket(raw, server_hostname="127.0.0.1")
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http2.initiate_connection()
        self.port = port
        self.answer, self.data, self.ended = None, b"", False
        self.flush()

    def flush(self):
        self.socket.sendall(self.http2.data_to_send())

    def until(self, done):
        while not done():
            received = self.socket.recv(65536)
            if not received:
                raise EOFError("the connection ended")
            for event in self.http2.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived):
                    self.answer = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    self.data += event.data
                    self.http2.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    self.ended = True
            self.flush()

    def open(self, *more):
        settings = self.http2.remote_settings
        self.until(lambda: settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL))
        head = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/ws"),
            (":authority", f"127.0.0.1:{self.port}"),
            ("sec-websocket-version", "13"),
            *more,
        ]
        self.http2.send_headers(self.http2.get_next_available_stream_id(), head)
        self.flush()
        self.until(lambda: self.answer is not None)

    def send(self, frame):
        self.http2.send_data(1, frame)
        self.flush()


def text(payload):
    key = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return bytes([0x81, 0x80 | len(payload)]) + key + masked


def over_http2(folder, port):
    good = Http2(folder, port)
    good.open()
    good.send(text(b"hello over HTTP/2"))
    good.until(lambda: len(good.data) >= 19)
    seen = {"answer": good.answer, "frames": good.data.hex()}
    good.data = b""
    good.send(text(b"a <script> b"))
    good.until(lambda: good.ended)
    seen["close"] = good.data.hex()
    bad = Http2(folder, port)
    bad.open(("origin", "https://evil.example"))
    bad.until(lambda: bad.ended)
    seen["refused"], seen["refused_with"] = bad.answer, bad.data.hex()
    return seen


def probe(folder, tls, plain):
    versions = ssl.TLSVersion
    print(
        json.dumps(
            {
                "wss": talk(folder, tls),
                "tls1.2": refused(folder, tls, versions.TLSv1_2),
                "tls1.1": refused(folder, tls, versions.TLSv1_1),
                "plain": plain_answer(folder, tls, "/ws"),
                "page": plain_answer(folder, tls, "/"),
                "redirect": redirected(plain, UPGRADE),
                "page_redirect": redirected(plain, {}),
                "http2": over_http2(folder, tls),
            }
        )
    )


def main():
    command, folder, *rest = sys.argv[1:]
    folder = pathlib.Path(folder)
    if command == "serve":
        serve_echo(folder, *rest)
    else:
        probe(folder, *map(int, rest))


main()
