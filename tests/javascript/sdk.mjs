// One story of an application with the official SDK: `node sdk.mjs STORY URL NAMESPACE`.
// Each checks what it sees; an exception is its failure. What another process is to do meanwhile is asked for by a line
// on stdout, and done when a line comes back on stdin.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { DateTime, Decimal, RecordId, Surreal, Table, Uuid, eq } from "surrealdb";
import { WebSocket } from "ws"; // node has one of its own from 22 on

const [story, url, namespace] = process.argv.slice(2);
const root = { username: "root", password: "root" };
const place = { namespace, database: "main" };
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function asked(what) {
  console.log(JSON.stringify(what));
  return JSON.parse((await answers.next()).value);
}

const surreal = () => new Surreal({ websocketImpl: WebSocket });

async function as_root() {
  const db = surreal();
  await db.connect(url, { ...place, authentication: root });
  return db;
}

async function as_user(name) {
  const db = surreal();
  await db.connect(url, place);
  await db.signin({ ...place, access: "account", variables: { name, pass: `${name}'s` } });
  return db;
}

// Collects what a live query tells; `await seen.until(n)` waits for n of them. Stories let one be told at a time: this
// SDK (2.0.8) keeps only the first of several notifications that its socket reads at once.
function collected(live) {
  const told = [];
  let wake = () => {};
  live.subscribe((message) => {
    told.push(message);
    wake();
  });
  const until = async (count) => {
    while (told.length < count) await new Promise((resolve) => (wake = resolve));
    return told;
  };
  return { told, until };
}

const stories = {
  async signs_in_as_root() {
    const db = surreal();
    await db.connect(url);
    await assert.rejects(db.signin({ ...root, password: "wrong" }));
    await assert.rejects(db.query("RETURN 1").collect());
    await db.signin(root);
    assert.deepEqual(await db.use(place), place);
    assert.match((await db.version()).version, /^surrealdb-3\./);
    assert.deepEqual(await db.query("RETURN 1 + $a; RETURN 'b'", { a: 41 }).collect(), [42, "b"]);
    await db.invalidate();
    await assert.rejects(db.query("RETURN 1").collect());
    await db.close();
  },

  async reads_and_writes_records() {
    const db = await as_root();
    const tobie = new RecordId("person", "tobie");
    const created = await db.create(tobie).content({ name: "Tobie", tags: ["a"], born: new DateTime("2001-02-03T04:05:06.000000007Z") });
    assert.ok(created.id.equals(tobie));
    const [made] = await db.create(new Table("person")).content({ name: "Jaime", owes: new Decimal("1.5") });
    assert.equal(made.owes.toString(), "1.5");
    assert.equal((await db.select(tobie)).born.toString(), "2001-02-03T04:05:06.000000007Z");
    assert.equal((await db.update(tobie).merge({ age: 5 })).name, "Tobie");
    assert.equal((await db.update(tobie).patch([{ op: "replace", path: "/age", value: 6 }])).age, 6);
    assert.deepEqual(Object.keys(await db.update(tobie).content({ age: 7 })).sort(), ["age", "id"]);
    await db.upsert(new RecordId("person", 3)).content({ name: "Three", key: Uuid.v4() });
    assert.equal((await db.select(new Table("person"))).length, 3);
    assert.equal((await db.select(new Table("person")).where(eq("name", "Three"))).length, 1);
    await db.insert(new Table("city"), [{ id: "london" }, { id: "paris" }]);
    await db.relate(tobie, new Table("likes"), new RecordId("city", "paris"), { much: true });
    const [liked] = await db.query("SELECT VALUE ->likes->city FROM ONLY $who", { who: tobie }).collect();
    assert.equal(String(liked[0]), "city:paris");
    assert.equal(await db.run("string::uppercase", ["x"]), "X");
    await assert.rejects(db.create(tobie).content({}), /already exists/);
    assert.ok((await db.delete(tobie)).id.equals(tobie));
    assert.equal(await db.select(tobie), undefined);
    await db.close();
  },

  async sees_what_its_permissions_allow() {
    const anyone = surreal();
    await anyone.connect(url, place);
    await assert.rejects(anyone.signin({ ...place, access: "account", variables: { name: "ada", pass: "no" } }));
    await anyone.close();
    const ada = await as_user("ada");
    assert.equal((await ada.auth()).name, "ada");
    const notes = await ada.select(new Table("note"));
    assert.deepEqual(notes.map((note) => String(note.id)), ["note:adas"]);
    assert.ok(!("secret" in notes[0]));
    assert.equal((await ada.update(new RecordId("note", "adas")).merge({ text: "changed" })).text, "changed");
    assert.equal(await ada.update(new RecordId("note", "bobs")).merge({ text: "stolen" }), undefined);
    await assert.rejects(ada.query("DEFINE TABLE mine").collect(), /permission/i);
    assert.deepEqual(await ada.query("SELECT VALUE text FROM note WHERE id = $id", { id: new RecordId("note", "bobs") }).collect(), [[]]);
    const token = ada.accessToken;
    const again = surreal();
    await again.connect(url, place);
    await again.authenticate(token);
    assert.equal((await again.auth()).name, "ada");
    await again.close();
    const fork = await ada.forkSession();
    await fork.signin({ ...place, access: "account", variables: { name: "bob", pass: "bob's" } });
    assert.equal((await fork.auth()).name, "bob");
    assert.equal((await ada.auth()).name, "ada");
    await fork.closeSession();
    await ada.close();
  },

  async signs_up() {
    const db = surreal();
    await db.connect(url, place);
    const tokens = await db.signup({ ...place, access: "account", variables: { name: "eve", pass: "eve's" } });
    assert.ok(tokens.access);
    assert.equal((await db.auth()).name, "eve");
    assert.deepEqual(await db.select(new Table("note")), []);
    await db.close();
  },

  async transactions_are_one_request() {
    const db = await as_root();
    const moved = "BEGIN; UPDATE account:a SET sum -= $sum; UPDATE account:b SET sum += $sum; COMMIT";
    await db.query("CREATE account:a SET sum = 10; CREATE account:b SET sum = 0").collect();
    await db.query(moved, { sum: 4 }).collect();
    await assert.rejects(db.query("BEGIN; UPDATE account:a SET sum = 0; THROW 'no'; COMMIT").collect());
    await db.query("BEGIN; UPDATE account:a SET sum = 0; CANCEL").collect().catch(() => {});
    assert.deepEqual(await db.query("SELECT VALUE sum FROM account").collect(), [[6, 4]]);
    await assert.rejects(db.beginTransaction(), /one query/i); // told what to do instead
    await db.close();
  },

  async follows_a_table() {
    const db = await as_root();
    const live = await db.live(new Table("person"));
    const { told, until } = collected(live);
    const one = new RecordId("person", 1);
    await db.create(one).content({ n: 1 });
    await until(1);
    await db.update(one).merge({ n: 2 });
    await until(2);
    await db.delete(one);
    await until(3);
    assert.deepEqual(told.map((each) => each.action), ["CREATE", "UPDATE", "DELETE"]);
    assert.deepEqual(told.map((each) => each.value.n), [1, 2, 2]);
    assert.ok(told[0].recordId.equals(one));
    const adults = await db.live(new Table("person")).where(eq("adult", true)).fields("name");
    const seen = collected(adults);
    await db.create(new RecordId("person", 2)).content({ adult: false, name: "two" });
    await until(4);
    await db.create(new RecordId("person", 3)).content({ adult: true, name: "three" });
    await seen.until(1);
    assert.deepEqual(seen.told.map((each) => each.value), [{ name: "three" }]);
    await until(5);
    await live.kill();
    assert.ok(!live.isAlive && adults.isAlive);
    await db.create(new RecordId("person", 4)).content({ adult: true, name: "four" });
    await seen.until(2);
    assert.equal(told.length, 5);
    await db.close();
  },

  async follows_its_own_edges() {
    const ada = await as_user("ada");
    await asked("register"); // and its state names the table of its edges
    const [{ edges: name }] = await ada.select(new Table("_00_view"));
    assert.equal(name, "_00_list_ref_user_ada");
    const edges = await ada.live(new Table(name));
    const { told, until } = collected(edges);
    const before = await ada.select(new Table(name));
    assert.deepEqual(before.map((each) => String(each.out)), ["note:adas"]);
    await asked("write"); // a note of hers and one of bob's
    await until(1);
    await asked("delete"); // her first
    await until(2);
    assert.deepEqual(told.map((each) => [each.action, String(each.value.out)]), [
      ["CREATE", "note:second"],
      ["DELETE", "note:adas"],
    ]);
    const rows = await ada.select(new Table(name));
    assert.deepEqual(rows.map((each) => String(each.out)), ["note:second"]);
    const [query] = await ada.select(new Table("_00_query"));
    assert.deepEqual([query.id.id[0], String(query.id.id[1])], ["hers", "user:ada"]);
    await ada.close();
  },

  async comes_back_by_itself() {
    const db = surreal();
    await db.connect(url, { ...place, authentication: root, reconnect: { enabled: true, attempts: -1, retryDelay: 20, retryDelayMax: 50 } });
    await db.set("mine", 7);
    const live = await db.live(new Table("person"));
    const { told, until } = collected(live);
    await db.create(new RecordId("person", 1)).content({ n: 1 });
    await until(1);
    const first = String(live.id);
    const back = new Promise((resolve) => db.subscribe("connected", resolve));
    await asked("restart");
    await back;
    assert.deepEqual(await db.query("RETURN $mine; RETURN session::ns()").collect(), [7, namespace]);
    while (String(live.id) === first) await new Promise((resolve) => setTimeout(resolve, 5)); // until it is opened again
    await db.create(new RecordId("person", 2)).content({ n: 2 });
    await until(2);
    assert.equal(told.at(-1).value.n, 2);
    await db.close();
  },
};

await stories[story]();
console.log(JSON.stringify("done"));
process.exit(0);
