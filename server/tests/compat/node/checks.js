// What a program of Node.js sees through node-zookeeper-client. `run` starts it.
//
// Exits non-zero at the first check that fails. The line `@restart` asks the runner to kill the
// server, or each server of an ensemble, and to start it again.
"use strict";

const assert = require("node:assert/strict");
const readline = require("node:readline");
const zookeeper = require("node-zookeeper-client");

const { ACL, CreateMode, Event, Exception, Id, Permission } = zookeeper;
const ADDRESS = process.argv[2];
const SESSION_MS = 10000;
const ROOT = "/node-checks";

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// One request as a promise. The callbacks' values beyond the first become an array.
function request(client, name, ...args) {
  return new Promise((resolve, reject) => {
    client[name](...args, (error, ...values) => {
      if (error) reject(error);
      else resolve(values.length > 1 ? values : values[0]);
    });
  });
}

function commit(transaction) {
  return new Promise((resolve) => {
    transaction.commit((error, results) => resolve({ error, results }));
  });
}

async function fails(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.getCode(), code, String(error));
    return true;
  });
}

function connected() {
  const client = zookeeper.createClient(ADDRESS, { sessionTimeout: SESSION_MS, spinDelay: 100 });
  return new Promise((resolve) => {
    client.once("connected", () => resolve(client));
    client.connect();
  });
}

function closed(client) {
  return new Promise((resolve) => {
    client.once("disconnected", resolve);
    client.close();
  });
}

// A watcher, and the promise of its first event.
function watcher() {
  let call;
  const event = new Promise((resolve) => (call = resolve));
  return [call, event];
}

async function fresh(client, name) {
  const path = `${ROOT}/${name}`;
  await request(client, "mkdirp", path);
  return path;
}

async function dataAndVersions(client) {
  const path = (await fresh(client, "data")) + "/n";
  assert.equal(await request(client, "create", path, Buffer.from("one")), path);
  await fails(request(client, "create", path, Buffer.from("two")), Exception.NODE_EXISTS);
  const [data, stat] = await request(client, "getData", path);
  assert.equal(data.toString(), "one");
  assert.equal(stat.version, 0);
  assert.equal(stat.dataLength, 3);
  const changed = await request(client, "setData", path, Buffer.alloc(100000, 7), 0);
  assert.equal(changed.version, 1);
  await fails(request(client, "setData", path, Buffer.from("x"), 0), Exception.BAD_VERSION);
  const [large] = await request(client, "getData", path);
  assert.ok(large.equals(Buffer.alloc(100000, 7)));
  await fails(request(client, "remove", path, 7), Exception.BAD_VERSION);
  await request(client, "remove", path, 1);
  assert.equal(await request(client, "exists", path), null);
  await fails(request(client, "getData", path), Exception.NO_NODE);
}

async function modes(client) {
  const path = await fresh(client, "modes");
  const names = [];
  for (let index = 0; index < 5; index++) {
    const made = await request(
      client, "create", `${path}/s-`, Buffer.alloc(0), CreateMode.PERSISTENT_SEQUENTIAL);
    names.push(made);
  }
  assert.deepEqual(names, [...names].sort());
  assert.equal(names[4], `${path}/s-0000000004`);
  const other = await connected();
  await request(other, "create", `${path}/e`, CreateMode.EPHEMERAL);
  const [, stat] = await request(client, "getData", `${path}/e`);
  assert.ok(stat.ephemeralOwner.equals(other.getSessionId()));
  await fails(request(client, "create", `${path}/e/below`), Exception.NO_CHILDREN_FOR_EPHEMERALS);
  const [call, event] = watcher();
  assert.notEqual(await request(client, "exists", `${path}/e`, call), null);
  await closed(other);
  assert.equal((await event).getType(), Event.NODE_DELETED);
}

async function watches(client) {
  const path = await fresh(client, "watches");
  const [onChild, child] = watcher();
  await request(client, "getChildren", path, onChild);
  const [onMade, made] = watcher();
  assert.equal(await request(client, "exists", `${path}/n`, onMade), null);
  await request(client, "create", `${path}/n`, Buffer.from("a"));
  assert.equal((await child).getType(), Event.NODE_CHILDREN_CHANGED);
  assert.equal((await made).getType(), Event.NODE_CREATED);
  const [onData, changed] = watcher();
  await request(client, "getData", `${path}/n`, onData);
  await request(client, "setData", `${path}/n`, Buffer.from("b"));
  const event = await changed;
  assert.equal(event.getType(), Event.NODE_DATA_CHANGED);
  assert.equal(event.getPath(), `${path}/n`);
}

async function transactions(client) {
  const path = await fresh(client, "transactions");
  const good = client.transaction()
    .create(`${path}/a`, Buffer.from("1"))
    .setData(`${path}/a`, Buffer.from("2"))
    .check(`${path}/a`, 1)
    .create(`${path}/b`)
    .remove(`${path}/b`);
  const { error, results } = await commit(good);
  assert.equal(error, null, String(error));
  assert.equal(results.length, 5);
  const [data, stat] = await request(client, "getData", `${path}/a`);
  assert.equal(data.toString(), "2");
  assert.equal(stat.version, 1);
  const bad = await commit(client.transaction()
    .create(`${path}/c`)
    .check(`${path}/a`, 9)
    .create(`${path}/d`));
  assert.equal(bad.error.getCode(), Exception.BAD_VERSION);
  assert.deepEqual((await request(client, "getChildren", path))[0], ["a"]);
}

async function aclsAndAuth(client) {
  const path = (await fresh(client, "acls")) + "/n";
  client.addAuthInfo("digest", Buffer.from("node:secret"));
  const mine = [new ACL(Permission.ALL, new Id("auth", ""))];
  await request(client, "create", path, Buffer.from("secret"), mine, CreateMode.PERSISTENT);
  const [acls] = await request(client, "getACL", path);
  assert.equal(acls.length, 1);
  assert.equal(acls[0].id.scheme, "digest");
  assert.match(acls[0].id.id, /^node:[A-Za-z0-9+/=]{28}$/);
  const other = await connected();
  await fails(request(other, "getData", path), Exception.NO_AUTH);
  other.addAuthInfo("digest", Buffer.from("node:secret"));
  assert.equal((await request(other, "getData", path))[0].toString(), "secret");
  await request(other, "setACL", path, ACL.READ_ACL_UNSAFE, 0);
  await fails(request(client, "setData", path, Buffer.from("x")), Exception.NO_AUTH);
  await closed(other);
}

async function pipelining(client) {
  const path = await fresh(client, "pipelining");
  const writes = [];
  for (let index = 0; index < 500; index++) {
    writes.push(request(client, "create", `${path}/n${index}`, Buffer.from(String(index))));
  }
  const made = await Promise.all(writes);
  const stats = await Promise.all(made.map((name) => request(client, "exists", name)));
  const order = stats.map((stat) => stat.czxid.toString("hex"));
  assert.deepEqual(order, [...order].sort(), "requests of one session keep their order");
  assert.equal((await request(client, "getChildren", path))[0].length, 500);
  await request(client, "removeRecursive", path);
  assert.equal(await request(client, "exists", path), null);
}

// The server is killed, or each server of an ensemble, the leader first: the session goes on with
// what it holds, and what was acknowledged is there.
async function restart(client) {
  const path = await fresh(client, "restart");
  const session = client.getSessionId().toString("hex");
  await request(client, "create", `${path}/kept`, Buffer.from("kept"));
  await request(client, "create", `${path}/mine`, CreateMode.EPHEMERAL);
  console.log("@restart");
  if ((await answers.next()).value === "skip") {
    console.log("      skipped: the server is not ours to restart");
    return;
  }
  for (let attempt = 0; ; attempt++) {
    try {
      const [data] = await request(client, "getData", `${path}/kept`);
      assert.equal(data.toString(), "kept");
      break;
    } catch (error) {
      const lost = error.getCode && error.getCode() === Exception.CONNECTION_LOSS;
      if (!lost || attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  assert.equal(client.getSessionId().toString("hex"), session);
  const [, stat] = await request(client, "getData", `${path}/mine`);
  assert.equal(stat.ephemeralOwner.toString("hex"), session);
  await request(client, "setData", `${path}/kept`, Buffer.from("written again"));
}

async function main() {
  const client = await connected();
  const checks = [
    dataAndVersions, modes, watches, transactions, aclsAndAuth, pipelining, restart,
  ];
  for (const check of checks) {
    await check(client);
    const name = check.name.replace(/[A-Z]/g, (letter) => "_" + letter.toLowerCase());
    console.log(`ok    ${name}`);
  }
  // `removeRecursive` of this client goes one level deep.
  for (const name of (await request(client, "getChildren", ROOT))[0]) {
    await request(client, "removeRecursive", `${ROOT}/${name}`);
  }
  await request(client, "remove", ROOT);
  await closed(client);
  console.log(`node-zookeeper-client: ${checks.length} passed, 0 failed, 0 skipped`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
