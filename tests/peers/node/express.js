// An application that routes upgrades by Express, as it stands: letter case and a
// slash at the end of a path make no difference to it. Its routes `/admin/ws` and
// `/public/ws`, and `/:room` for every other name, open a WebSocket that says which
// of them it is. It prints its port.
"use strict";

const express = require("express");
const http = require("http");
const { WebSocketServer } = require("ws");

const app = express();
const sockets = new WebSocketServer({ noServer: true });
const server = http.createServer(app);

function route(path, name) {
  app.get(path, (request, response) => {
    if (!request.accept) return response.status(426).end(name);
    request.accept((socket) => socket.send(name));
  });
}

route("/admin/ws", "admin");
route("/public/ws", "public");
route("/socket.io", "socket.io");
route("/:room", "room");

server.on("upgrade", (request, socket, head) => {
  const response = new http.ServerResponse(request);
  response.assignSocket(socket);
  request.accept = (opened) => {
    response.detachSocket(socket);
    sockets.handleUpgrade(request, socket, head, opened);
  };
  socket.on("error", () => {});
  app(request, response);
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
