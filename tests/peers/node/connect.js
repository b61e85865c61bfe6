// Opens a WebSocket with `ws` and says what came of it, as connect.py does.
//
// connect.js URL [subprotocol=NAME]...
"use strict";

const WebSocket = require("ws");

const [url, ...options] = process.argv.slice(2);
const subprotocols = options.map((option) => option.slice("subprotocol=".length));
const told = {};
const socket = new WebSocket(url, subprotocols);
const done = () => {
  console.log(JSON.stringify(told));
  process.exit(0);
};

socket.on("unexpected-response", (request, response) => {
  told.status = response.statusCode;
  done();
});
socket.on("error", (error) => {
  told.error = String(error);
  done();
});
socket.on("open", () => {
  told.subprotocol = socket.protocol || null;
});
socket.on("message", (data) => {
  told.echo = data.toString();
  socket.close(1000);
});
socket.on("close", (code, reason) => {
  told.code = code;
  told.reason = reason.toString();
  done();
});
