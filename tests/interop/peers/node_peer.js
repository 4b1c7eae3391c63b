// npm's `smpp` as a process for tests: an SMSC or an ESME, told by lines of JSON what to do, which
// says in lines of JSON what happened. It decides nothing that an order does not name.
//
//   node node_peer.js listen [PORT [KEY CERT]]      then {"event": "listening", "port": …}
//   node node_peer.js connect
//
// Orders: connect, send, plan, ids, unbind, destroy, raw; each is followed by {"event": "done"} with
// the order's number. NODE_PATH says where `smpp` is.
'use strict';

const fs = require('fs');
const readline = require('readline');
const smpp = require('smpp');

const sessions = [];
// Answers that are not simply ESME_ROK: by destination or system_id, the next status first.
const plans = new Map();
let nextId = 1000001;
let idBase = 10;

function say(event) {
  process.stdout.write(JSON.stringify(event) + '\n');
}

// What a PDU says, with octets as {hex}.
function describe(pdu) {
  const told = {};
  for (const [key, value] of Object.entries(pdu)) {
    told[key] = describeValue(value);
  }
  return told;
}

function describeValue(value) {
  if (Buffer.isBuffer(value)) return { hex: value.toString('hex') };
  if (value instanceof Date) return { date: value.getTime() / 1000 };
  if (Array.isArray(value)) return value.map(describeValue);
  if (value && typeof value === 'object') return describe(value);
  return value;
}

// The same the other way: {hex} becomes octets.
function build(value) {
  if (Array.isArray(value)) return value.map(build);
  if (!value || typeof value !== 'object') return value;
  if (typeof value.hex === 'string') return Buffer.from(value.hex, 'hex');
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, build(each)]));
}

function plannedStatus(pdu) {
  const plan = plans.get(pdu.destination_addr) || plans.get(pdu.system_id);
  return plan && plan.length ? plan.shift() : 0;
}

const ANSWER_FIELDS = {
  bind_transceiver: () => ({ system_id: 'node', sc_interface_version: 0x34 }),
  bind_transmitter: () => ({ system_id: 'node', sc_interface_version: 0x34 }),
  bind_receiver: () => ({ system_id: 'node', sc_interface_version: 0x34 }),
  submit_sm: () => ({ message_id: (nextId++).toString(idBase) }),
  data_sm: () => ({ message_id: (nextId++).toString(idBase) }),
};
const UNANSWERED = new Set(['outbind', 'alert_notification']);

function hold(session, ownName) {
  const id = sessions.push(session) - 1;
  let name = ownName || String(id);
  session.peerName = name;
  session.on('pdu', (pdu) => {
    if (pdu.isResponse()) {
      say({ event: 'response', session: name, ...describe(pdu) });
      return;
    }
    if (pdu.system_id && !ownName) session.peerName = name = pdu.system_id;
    const status = plannedStatus(pdu);
    const fields = status ? {} : (ANSWER_FIELDS[pdu.command] || (() => ({})))();
    const answer = { command_status: status, ...fields };
    say({ event: pdu.command, session: name, number: id, ...describe(pdu), answer });
    if (UNANSWERED.has(pdu.command) || status < 0) return; // below 0: says nothing at all
    if (pdu.command === 'unknown') delete answer.command_status; // its own choice of nack
    session.send(pdu.response(answer));
    if (pdu.command === 'unbind') session.close();
  });
  session.on('close', () => {
    session.gone = true;
    say({ event: 'closed', session: name });
  });
  session.on('error', (error) => say({ event: 'error', session: name, error: String(error) }));
}

// One session by its number, or the newest live one of a name (ours, or the peer's system_id), or
// of whoever came last.
function find(name) {
  if (typeof name === 'number') return sessions[name];
  const live = sessions.filter((s) => !s.gone && (name === undefined || s.peerName === name));
  return live[live.length - 1];
}

const ORDERS = {
  connect({ port, tls, name }) {
    const session = smpp.connect({ host: '127.0.0.1', port, tls, rejectUnauthorized: false });
    hold(session, name);
    session.on(tls ? 'secureConnect' : 'connect', () => say({ event: 'connected', session: name }));
  },
  send({ session, command, fields }) {
    const pdu = new smpp.PDU(command, build(fields || {}));
    const held = find(session);
    const sent = () => say({ event: 'sent', session: held.peerName, ...describe(pdu) });
    held.send(pdu, () => {}, sent);
  },
  plan({ to, statuses }) {
    plans.set(to, statuses);
  },
  ids({ base }) {
    idBase = base;
  },
  unbind({ session }) {
    const held = find(session);
    held.unbind(() => held.close());
  },
  destroy({ session }) {
    find(session).destroy();
  },
  raw({ session, hex }) {
    find(session).socket.write(Buffer.from(hex, 'hex'));
  },
};

const [mode, port, key, cert] = process.argv.slice(2);
if (mode === 'listen') {
  const tls = key ? { key: fs.readFileSync(key), cert: fs.readFileSync(cert) } : {};
  const server = smpp.createServer(tls, (session) => hold(session));
  server.listen(Number(port || 0), '127.0.0.1', () => {
    say({ event: 'listening', port: server.address().port });
  });
}
readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    ORDERS[order.do](order);
    say({ event: 'done', number: order.number });
  })
  .on('close', () => process.exit(0));
