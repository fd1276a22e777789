// Node and ws: one process, every POSTed body to every reader. Knows sockets; knows no lines.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    for (const reader of readers.clients) reader.send(body, { binary: false });
    response.writeHead(200, { "Content-Length": 0 }).end();
  });
});
const readers = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: true });
readers.on("connection", (reader) => reader.on("error", () => {}));
server.keepAliveTimeout = 120_000;
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
