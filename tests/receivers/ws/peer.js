// The receiver of Node's `ws`: see tests/receivers/README.md.
"use strict";

const { WebSocket, WebSocketServer } = require("ws");
const { ended, received, run } = require("../node.js");

function watch(socket, id) {
  let failed = "";
  socket.on("message", (data, isBinary) => received(id, isBinary, data));
  socket.on("error", (error) => { failed = error.message; });
  socket.on("close", (code) => ended(id, code, failed));
}

run({
  server(listening) {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: 0, perMessageDeflate: true });
    server.on("listening", () => listening(server.address().port));
    server.on("connection", (socket, request) => {
      watch(socket, new URL(request.url, "ws://x").searchParams.get("id"));
    });
  },
  client(url, id) {
    watch(new WebSocket(url, { maxPayload: 0, perMessageDeflate: true }), id);
  },
});
