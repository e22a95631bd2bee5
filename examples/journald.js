'use strict';

// Writes to the journal in its native protocol: an entry is a datagram of fields. One that is too
// large for a datagram is put into a sealed file in memory, whose descriptor goes with an empty
// datagram. The journal here is a receiver in Python on a temporary path; the real one listens on
// /run/systemd/journal/socket.
// Run: node examples/journald.js (after `npm start` or `npm run build` built the addon)

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { promisify } = require('node:util');
const { DgramSocket, closeFd, memfd } = require('afunix');

/** Binds, says so, and prints what two entries consist of. */
const JOURNAL = `
import array, os, socket, struct, sys

def fields(entry):
    while entry:
        line, _, entry = entry.partition(b'\\n')
        name, equals, value = line.partition(b'=')
        if not equals:  # A length, little-endian, then as many bytes, then a newline.
            size, = struct.unpack_from('<Q', entry)
            value, entry = entry[8:8 + size], entry[8 + size + 1:]
        yield name.decode(), value

journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind(sys.argv[1])
print('ready', flush=True)
for _ in range(2):
    entry, control, flags, _ = journal.recvmsg(1 << 20, socket.CMSG_SPACE(4))
    way = 'a datagram'
    for level, kind, data in control:
        fd, = array.array('i', data)
        entry, way = os.pread(fd, os.fstat(fd).st_size, 0), 'a file in memory'
        os.close(fd)
    for name, value in fields(entry):
        shown = value.decode() if len(value) < 60 else f'{len(value)} bytes'
        print(f'  {name}: {shown!r} by {way}', flush=True)
`;

/** The bytes of an entry. A value with a line break is preceded by its length. */
function entryOf(fields) {
  const parts = Object.entries(fields).map(([name, value]) => {
    const bytes = Buffer.from(String(value));
    if (!bytes.includes('\n')) return Buffer.concat([Buffer.from(`${name}=`), bytes, NEWLINE]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return Buffer.concat([Buffer.from(name), NEWLINE, length, bytes, NEWLINE]);
  });
  return Buffer.concat(parts);
}

const NEWLINE = Buffer.from('\n');

/** Sends an entry: as a datagram if it fits. */
async function log(socket, journal, fields) {
  const send = promisify(socket.sendTo).bind(socket);
  const entry = entryOf(fields);
  try {
    await send(entry, journal);
  } catch (error) {
    // ENOBUFS: too large even for a larger send buffer.
    if (error.code !== 'EMSGSIZE' && error.code !== 'ENOBUFS') throw error;
    const fd = memfd(entry, { name: 'journal-entry', seal: true });
    const sent = send('', journal, { fds: [fd] });
    closeFd(fd); // Ours may be closed as soon as sendTo() has returned.
    await sent;
  }
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-journal-'));
  const address = path.join(folder, 'socket');
  const child = spawn('python3', ['-c', JOURNAL, address], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  try {
    const lines = readline.createInterface({ input: child.stdout });
    await Promise.race([once(lines, 'line'), ended]); // Rejects without python3.
    lines.on('line', (line) => console.log(line));

    const socket = new DgramSocket();
    await log(socket, address, { MESSAGE: 'a short\nmessage', PRIORITY: 6 });
    await log(socket, address, { MESSAGE: 'x'.repeat(1_000_000), PRIORITY: 6 });
    socket.close();
    await ended;
  } catch (error) {
    if (error.syscall !== 'spawn python3') throw error;
    console.log('This example needs python3.');
  }
  fs.rmSync(folder, { recursive: true });
}

main();
