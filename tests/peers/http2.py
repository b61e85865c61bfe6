"""WebSockets over HTTP/2 without TLS (RFC 8441), made of `h2` and `websockets`.

http2.py serve               an echo server that speaks nothing else; prints its
                             port, then a line of JSON for each WebSocket: the
                             request it came with, and the Close that ended it
http2.py connect PORT TEXT   opens /ws, sends the text, closes after its echo;
                             prints JSON: the answer, the echo, and the Close
"""

import json
import socket
import sys
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings
from websockets.frames import Opcode
from websockets.protocol import OPEN, Protocol, Side

CONNECT_PROTOCOL = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL


class Connection:
    """One connection; calls what it was made with for each event."""

    def __init__(self, raw, client_side, on_event):
        self.raw, self.on_event = raw, on_event
        config = h2.config.H2Configuration(client_side=client_side, header_encoding="utf-8")
        self.http2 = h2.connection.H2Connection(config)
        if not client_side:
            # In the first settings, and never taken back (RFC 8441 §3).
            local = h2.settings.Settings(client=False, initial_values={CONNECT_PROTOCOL: 1})
            self.http2.local_settings = local
        self.http2.initiate_connection()
        self.flush()

    def flush(self):
        self.raw.sendall(self.http2.data_to_send())

    def receive(self):
        received = self.raw.recv(65536)
        for event in self.http2.receive_data(received) if received else ():
            if isinstance(event, h2.events.DataReceived):
                length = event.flow_controlled_length
                self.http2.acknowledge_received_data(length, event.stream_id)
            self.on_event(self, event)
        if received:
            self.flush()
        return bool(received)

    def send(self, stream, websocket):
        for data in websocket.data_to_send():
            if data:
                self.http2.send_data(stream, data)
            else:
                self.http2.end_stream(stream)


def close_of(websocket):
    came = websocket.close_rcvd
    return {"code": came.code if came else None, "reason": came.reason if came else None}


class Server:
    def __init__(self):
        self.open = {}

    def __call__(self, connection, event):
        http2 = connection.http2
        if isinstance(event, h2.events.RequestReceived):
            head = [list(header) for header in event.headers]
            is_websocket = dict(head).get(":protocol") == "websocket"
            http2.send_headers(event.stream_id, [(":status", "200" if is_websocket else "404")])
            self.open[event.stream_id] = Protocol(Side.SERVER, state=OPEN), head
        elif isinstance(event, h2.events.DataReceived) and event.stream_id in self.open:
            websocket, head = self.open[event.stream_id]
            websocket.receive_data(event.data)
            for frame in websocket.events_received():
                if frame.opcode is Opcode.TEXT:
                    websocket.send_text(frame.data)
            connection.send(event.stream_id, websocket)
            if websocket.close_rcvd:
                del self.open[event.stream_id]
                print(json.dumps({"head": head, **close_of(websocket)}), flush=True)


def serve():
    def talk(raw):
        connection = Connection(raw, False, Server())
        while connection.receive():
            pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            raw, _ = server.accept()
            threading.Thread(target=talk, args=[raw], daemon=True).start()


class Client:
    def __init__(self):
        self.answer, self.ended, self.may_connect = None, False, False
        self.websocket, self.echoed = Protocol(Side.CLIENT, state=OPEN), None

    def __call__(self, connection, event):
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.may_connect |= CONNECT_PROTOCOL in event.changed_settings
        elif isinstance(event, h2.events.ResponseReceived):
            self.answer = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.websocket.receive_data(event.data)
            for frame in self.websocket.events_received():
                if frame.opcode is Opcode.TEXT:
                    self.echoed = frame.data.decode()
        elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
            self.ended = True


def connect(port, text):
    client = Client()
    raw = socket.create_connection(("127.0.0.1", port), timeout=300)
    connection = Connection(raw, True, client)

    def until(done):
        while not done():
            if not connection.receive():
                raise EOFError("the connection ended")

    until(lambda: client.may_connect)
    head = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/ws",
            ":authority": f"127.0.0.1:{port}", "sec-websocket-version": "13"}
    connection.http2.send_headers(1, list(head.items()))
    connection.flush()
    until(lambda: client.answer is not None)
    if client.answer[":status"] == "200":
        # A refusal may have come with the answer.
        if not client.websocket.close_rcvd:
            client.websocket.send_text(text.encode())
            connection.send(1, client.websocket)
            connection.flush()
        until(lambda: client.echoed is not None or client.websocket.close_rcvd or client.ended)
        if not client.websocket.close_rcvd:
            client.websocket.send_close(4001, "enough")
            connection.send(1, client.websocket)
            connection.flush()
            until(lambda: client.websocket.close_rcvd or client.ended)
    print(json.dumps({"answer": client.answer, "echo": client.echoed, **close_of(client.websocket)}))


if sys.argv[1] == "serve":
    serve()
else:
    connect(int(sys.argv[2]), sys.argv[3])
