// What the receivers for Node have in common: see tests/receivers/README.md.
"use strict";

/** One line for a message that the application got. */
exports.received = (id, isBinary, data) => {
  console.log(`${id} ${isBinary ? "binary" : "text"} ${Buffer.from(data).toString("hex")}`);
};

/** One line for a connection that has ended. */
exports.ended = (id, code, failed) => {
  console.log(`${id} end ${code} ${failed || ""}`);
};

/** Starts what the arguments name: a server, or so many clients. */
exports.run = ({ server, client }) => {
  const [role, url, first, count] = process.argv.slice(2);
  if (role === "server" && server) {
    server((port) => console.log(port));
  } else if (role === "client") {
    for (let id = Number(first); id < Number(first) + Number(count); id += 1) {
      client(`${url}/${id % 10}?id=${id}`, String(id));
    }
  } else {
    process.exit(2);
  }
};
