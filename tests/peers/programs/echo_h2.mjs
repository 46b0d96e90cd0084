// `echo_h2.mjs ADDRESS PORT`: Node's http2 in clear, which speaks nothing else.
import { createServer } from "node:http2";

const [address, port] = process.argv.slice(2);

createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces).toString("latin1");
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ method: request.method, target: request.url, body }) + "\n");
  });
}).listen(Number(port), address);
