"""The far end of random programs with messages: sockets by name, driven from standard input.

Each line there is a JSON object with a command (a method of Peer) and its keyword arguments; each gets one line of
JSON back. Nothing here waits.
"""

import array
import json
import os
import socket
import sys

KINDS = {"seqpacket": socket.SOCK_SEQPACKET, "dgram": socket.SOCK_DGRAM}
LARGEST = 1 << 16  # bytes: more than any message here has
MOST_FDS = 253
SO_TIMESTAMP = 29  # Python has no name for it; this is Linux


def content(number, size):
    """The same as contentOf() in messages.js."""
    if size == 0:
        return b""
    body = bytes((number * 31 + at * 7) & 255 for at in range(min(size, 256)))
    whole = (body * (size // len(body) + 1))[:size]
    return number.to_bytes(4, "little") + whole[4:]


class Peer:
    def __init__(self):
        self.sockets = {}

    def open(self, kind):
        opened = socket.socket(socket.AF_UNIX, KINDS[kind])
        return self.prepare(opened)

    def prepare(self, opened):
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
        return opened

    def identity(self):
        return {"pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid()}

    def listen(self, name, path):
        self.sockets[name] = self.open("seqpacket")
        self.sockets[name].bind(path)
        self.sockets[name].listen(16)

    def connect(self, name, path, kind):
        self.sockets[name] = self.open(kind)
        self.sockets[name].connect(path)

    def bind(self, name, path):
        self.sockets[name] = self.open("dgram")
        self.sockets[name].bind(path)

    def accept(self, name, listener):
        try:
            accepted, _ = self.sockets[listener].accept()
        except BlockingIOError:
            return False
        self.sockets[name] = self.prepare(accepted)
        return True

    def send(self, name, messages, path=None):
        """Sends { number, size, files } each; for each 'sent', or the name of the error."""
        results = []
        for message in messages:
            fds = [os.open(file, os.O_RDONLY) for file in message["files"]]
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                data = content(message["number"], message["size"])
                where = [path] if path else []
                self.sockets[name].sendmsg([data], ancillary, 0, *where)
                results.append("sent")
            except OSError as error:
                results.append(error.__class__.__name__)
            for fd in fds:
                os.close(fd)
        return results

    def receive(self, name, limit):
        """At most so many messages: { size, number, whole, files } each, and { end } as the last one."""
        messages = []
        if name not in self.sockets:
            return [{"end": "closed"}]
        while len(messages) < limit:
            try:
                data, ancillary, flags, _ = self.sockets[name].recvmsg(LARGEST, socket.CMSG_SPACE(4 * MOST_FDS) + 64)
            except BlockingIOError:
                break
            except OSError as error:
                messages.append({"end": error.__class__.__name__})
                break
            files = []
            for level, kind, payload in ancillary:
                if kind != socket.SCM_RIGHTS:
                    continue
                fds = array.array("i")
                fds.frombytes(payload)
                for fd in fds:
                    status = os.fstat(fd)
                    files.append(f"{status.st_dev}:{status.st_ino}")
                    os.close(fd)
            # A message has a time, the end has none.
            if not data and not ancillary:
                messages.append({"end": "end"})
                break
            number = int.from_bytes(data[:4], "little") if data else 0
            whole = data == content(number, len(data)) and not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
            messages.append({"size": len(data), "number": number, "whole": whole, "files": files})
        return messages

    def shutdown(self, name):
        try:
            self.sockets[name].shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self, name):
        if name in self.sockets:
            self.sockets.pop(name).close()

    def reset(self):
        for name in list(self.sockets):
            self.close(name)


peer = Peer()
for line in sys.stdin:
    request = json.loads(line)
    command = request.pop("command")
    try:
        answer = {"result": getattr(peer, command)(**request)}
    except Exception as error:
        answer = {"error": f"{command}: {error!r}"}
    print(json.dumps(answer), flush=True)
