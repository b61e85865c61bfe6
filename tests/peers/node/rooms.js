// A server of the `ws` library whose clients join rooms, as applications write it.
//
// Prints its port. Answers each message with `joined <room>` where any of its ways
// to read messages takes it for a join, else with `heard`.
"use strict";

const { WebSocketServer } = require("ws");
const { joins } = require("../../handlers/handlers.js");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });

server.on("listening", () => console.log(server.address().port));

server.on("connection", (socket) => {
  socket.on("message", (data) => {
    const joined = joins(data);
    socket.send(joined.length > 0 ? `joined ${joined.join(" ")}` : "heard");
  });
  socket.on("error", () => {});
});
