// The one engine at hand that has http: runs each line of stdin, a JSON string of SurrealQL, and answers a line each.
// `SIGNUP access` makes a record user, who runs what follows.
import { createInterface } from "node:readline";
import { createNodeEngines } from "@surrealdb/node";
import { Surreal } from "surrealdb";

const capabilities = { functions: true, network_targets: true };
const db = new Surreal({ engines: createNodeEngines({ capabilities }) });
await db.connect("mem://", { namespace: "test", database: "main" });
for await (const line of createInterface({ input: process.stdin })) {
  const [, access] = JSON.parse(line).match(/^SIGNUP (\w+)$/) ?? [];
  const done = access ? db.signup({ namespace: "test", database: "main", access }) : db.query(JSON.parse(line)).collect();
  const told = await done.then(() => "done", (error) => `refused: ${error}`);
  console.log(JSON.stringify(told));
}
process.exit(0);
