// The receiver of faye-websocket and permessage-deflate, by the author of the
// libraries of the same names for Ruby: see tests/receivers/README.md.
"use strict";

const http = require("http");
const WebSocket = require("faye-websocket");
const deflate = require("permessage-deflate");
const { ended, received, run } = require("../node.js");

const options = { extensions: [deflate], maxLength: 1 << 26 };

function watch(socket, id) {
  let failed = "";
  socket.on("message", ({ data }) => received(id, typeof data !== "string", data));
  socket.on("error", (event) => { failed = event.message; });
  socket.on("close", ({ code }) => ended(id, code, failed));
}

run({
  server(listening) {
    const server = http.createServer();
    server.on("upgrade", (request, stream, head) => {
      const id = new URL(request.url, "ws://x").searchParams.get("id");
      watch(new WebSocket(request, stream, head, [], options), id);
    });
    server.listen(0, "127.0.0.1", () => listening(server.address().port));
  },
  client(url, id) {
    watch(new WebSocket.Client(url, [], options), id);
  },
});
