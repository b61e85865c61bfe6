// A gateway as teams write one, with `ws`: verifies the token, reads every
// message of the client (JSON, size, patterns), and passes on what is good.
//
// Its one argument is a JSON object with port, upstream, issuer, audience, keys,
// patterns, max_message.

"use strict";
const crypto = require("node:crypto");
const http = require("node:http");
const { WebSocket, WebSocketServer } = require("ws");

const rules = JSON.parse(process.argv[2]);
const patterns = new RegExp(rules.patterns.map((p) => `(?:${p})`).join("|"), "i");
const keys = new Map(
  rules.keys.map((key) => [
    key.kid,
    key.kty === "oct"
      ? { ...key, secret: Buffer.from(key.k, "base64url") }
      : { ...key, public: crypto.createPublicKey({ key, format: "jwk" }) },
  ]),
);

function verifies(key, algorithm, text, signature) {
  switch (key.kty) {
    case "RSA":
      return algorithm === "RS256" && crypto.verify("sha256", text, key.public, signature);
    case "EC": {
      const how = { key: key.public, dsaEncoding: "ieee-p1363" };
      return algorithm === "ES256" && crypto.verify("sha256", text, how, signature);
    }
    case "OKP":
      return algorithm === "EdDSA" && crypto.verify(null, text, key.public, signature);
    default: {
      const tag = crypto.createHmac("sha256", key.secret).update(text).digest();
      const equal = tag.length === signature.length && crypto.timingSafeEqual(tag, signature);
      return algorithm === "HS256" && equal;
    }
  }
}

function isGood(authorization) {
  const [scheme, token = ""] = (authorization ?? "").split(" ");
  const parts = token.split(".");
  if (scheme.toLowerCase() !== "bearer" || parts.length !== 3) return false;
  try {
    const [header, claims] = parts.slice(0, 2).map((p) => JSON.parse(Buffer.from(p, "base64url")));
    const key = keys.get(header.kid);
    const text = Buffer.from(`${parts[0]}.${parts[1]}`);
    const audiences = [claims.aud].flat();
    return (
      claims.iss === rules.issuer &&
      audiences.includes(rules.audience) &&
      claims.exp > Date.now() / 1000 &&
      key !== undefined &&
      verifies(key, header.alg, text, Buffer.from(parts[2], "base64url"))
    );
  } catch {
    return false;
  }
}

function isClean(data) {
  const text = data.toString();
  try {
    JSON.parse(text);
  } catch {
    return false;
  }
  return !patterns.test(text);
}

const options = { perMessageDeflate: false, maxPayload: rules.max_message };

function join(client, upstream) {
  client.on("message", (data, binary) => {
    if (isClean(data)) upstream.send(data, { binary });
    else client.close(1008, "rule_matched");
  });
  upstream.on("message", (data, binary) => client.send(data, { binary }));
  for (const [end, other] of [[client, upstream], [upstream, client]]) {
    end.on("close", () => other.terminate());
    end.on("error", () => other.terminate());
  }
}

const server = http.createServer((_, response) => response.writeHead(426).end());
const sockets = new WebSocketServer({ ...options, noServer: true });
server.on("upgrade", (request, socket, head) => {
  socket.on("error", () => socket.destroy());
  if (!isGood(request.headers.authorization)) {
    socket.end("HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    return;
  }
  const upstream = new WebSocket(`ws://${rules.upstream}${request.url}`, options);
  upstream.on("error", () => socket.destroy());
  upstream.on("open", () => {
    sockets.handleUpgrade(request, socket, head, (client) => join(client, upstream));
  });
});
server.listen(rules.port, "127.0.0.1");
