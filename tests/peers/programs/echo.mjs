// What Node serves: each request comes back as one line of JSON, and stands in the log before it does.
import { createServer } from "node:http";
import { writeSync } from "node:fs";

const [address, port] = process.argv.slice(2);

createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces).toString("latin1");
    const line = JSON.stringify({ method: request.method, target: request.url, body }) + "\n";
    writeSync(1, line);
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(line) });
    response.end(line);
  });
}).listen(Number(port), address);
