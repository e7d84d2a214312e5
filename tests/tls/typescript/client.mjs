// The official TypeScript client over TLS. Reads {modules, address, ca, cert, key, workflowId} from its one argument,
// starts a workflow and writes the types of its events as JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const given = JSON.parse(process.argv[2]);
const { Client, Connection } = createRequire(join(given.modules, "package.json"))("@temporalio/client");
const clientCertPair = given.cert && { crt: readFileSync(given.cert), key: readFileSync(given.key) };
const connection = await Connection.connect({
  address: given.address,
  connectTimeout: "5s",
  tls: { serverRootCACertificate: readFileSync(given.ca), clientCertPair },
});
const handle = await new Client({ connection }).workflow.start("greet", {
  taskQueue: "nobody",
  workflowId: given.workflowId,
});
const { events } = await handle.fetchHistory();
console.log(JSON.stringify(events.map((event) => event.eventType)));
await connection.close();
