// An echo server of the `ws` library.
//
// Prints its port, then one line of JSON for each connection that has ended: how
// many messages it echoed, which extensions were agreed, the Close that came, and
// how many Pongs came that it had not asked for.
"use strict";

const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  maxPayload: 0,
  perMessageDeflate: { threshold: 0 },
});

server.on("listening", () => console.log(server.address().port));

server.on("connection", (socket) => {
  const saw = { messages: 0, pongs: 0, code: null, reason: null };
  socket.on("message", (data, isBinary) => {
    saw.messages += 1;
    socket.send(data, { binary: isBinary });
  });
  socket.on("pong", () => { saw.pongs += 1; });
  socket.on("error", () => {});
  socket.on("close", (code, reason) => {
    // 1005 and 1006 stand for no code, and for no Close.
    if (code !== 1005 && code !== 1006) {
      saw.code = code;
      saw.reason = reason.toString();
    }
    saw.extensions = socket.extensions ? [socket.extensions.split(";")[0]] : [];
    console.log(JSON.stringify(saw));
  });
});
