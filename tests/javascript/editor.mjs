// An editor of a collaborative text with the official loro-crdt: `node editor.mjs SSP EDITS`. Edits, sends what it has
// changed, and now and then takes what others have; at the end prints all that it has done, as a snapshot in base64.
import assert from "node:assert/strict";
import { LoroDoc } from "loro-crdt";

const [ssp, edits] = process.argv.slice(2);
const place = { table: "thread", record_id: "thread:1", field: "content" };
const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const doc = new LoroDoc();
doc.setPeerId(99n);

async function document_since(version) {
  const answer = await fetch(`${ssp}/crdt/document?${new URLSearchParams({ ...place, version })}`);
  assert.equal(answer.status, 200);
  return answer.json();
}

for (let edit = 0; edit < Number(edits); edit++) {
  const seen = doc.version();
  const text = doc.getText("content");
  text.insert(edit % 3 ? text.length : 0, edit % 2 ? "js " : "é👍 ");
  if (edit % 5 === 4) text.delete(0, [...text.toString()][0].length); // a whole character
  doc.commit();
  const update = base64(doc.export({ mode: "update", from: seen }));
  const body = JSON.stringify({ ...place, update, peer: doc.peerIdStr });
  const answer = await fetch(`${ssp}/crdt/apply`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  assert.equal(answer.status, 200, await answer.text());
  if (edit % 4 === 3) {
    const lacking = await document_since(base64(doc.version().encode()));
    doc.import(Buffer.from(lacking.update, "base64"));
    assert.equal(doc.getText("content").toString(), lacking.value);
  }
}
console.log(base64(doc.export({ mode: "snapshot" })));
