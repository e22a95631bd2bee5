"""The far end of stream tests: one connected stream socket that follows commands.

Reads a JSON object a line, `{"command": name, ...arguments}`, and answers with one: `{"result": …}` or
`{"error": text}`. The commands are the methods of Peer.
"""

import array
import hashlib
import json
import os
import socket
import struct
import sys

TIMEOUT = 20
# The kernel's limit of one message.
MOST_FDS = 253
PIECE = 65536
CREDENTIALS = struct.Struct("3i")


def read_all(fds):
    """What is in the files behind descriptors, which are closed."""
    texts = [os.pread(fd, 4096, 0).decode() for fd in fds]
    for fd in fds:
        os.close(fd)
    return texts


class Peer:
    def __init__(self):
        self.server = None
        self.socket = None

    def use(self, connected):
        self.socket = connected
        self.socket.settimeout(TIMEOUT)
        return os.getpid()

    def connect(self, path):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(TIMEOUT)
        client.connect(path)
        return self.use(client)

    def listen(self, path):
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.settimeout(TIMEOUT)
        self.server.bind(path)
        self.server.listen()
        return os.getpid()

    def accept(self):
        connection, _ = self.server.accept()
        return self.use(connection)

    def send(self, size, piece=PIECE):
        """Sends random bytes in pieces; returns their digest."""
        digest = hashlib.sha256()
        left = size
        while left > 0:
            data = os.urandom(min(left, piece))
            self.socket.sendall(data)
            digest.update(data)
            left -= len(data)
        return digest.hexdigest()

    def send_text(self, text):
        self.socket.sendall(text.encode())

    def receive(self, size, piece=PIECE):
        """Takes so many bytes, a piece at a time; returns their digest, and how many came."""
        digest = hashlib.sha256()
        got = 0
        while got < size:
            data = self.socket.recv(min(piece, size - got))
            if not data:
                break
            digest.update(data)
            got += len(data)
        return [digest.hexdigest(), got]

    def receive_text(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                break
            data += more
        return data.decode()

    def echo(self, size):
        """Returns bytes as they come."""
        left = size
        while left > 0:
            data = self.socket.recv(min(left, PIECE))
            if not data:
                break
            self.socket.sendall(data)
            left -= len(data)

    def send_files(self, paths, text, spread=MOST_FDS):
        """Opens files and sends their descriptors, up to `spread` with each byte of a text."""
        fds = [os.open(path, os.O_RDONLY) for path in paths]
        data = text.encode()
        try:
            for start in range(0, len(fds), spread):
                some = fds[start : start + spread]
                is_last = start + spread >= len(fds)
                part, data = (data, b"") if is_last else (data[:1], data[1:])
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", some))
                sent = self.socket.sendmsg([part], [rights])
                self.socket.sendall(part[sent:])
        finally:
            for fd in fds:
                os.close(fd)

    def receive_files(self, size, piece=PIECE):
        """Takes so many bytes: the text, the files with each call, and whether any were lost."""
        data, calls, lost = b"", [], False
        while len(data) < size:
            more, fds, flags, _ = socket.recv_fds(
                self.socket, min(piece, size - len(data)), MOST_FDS
            )
            if not more:
                break
            data += more
            calls.append(read_all(fds))
            lost = lost or bool(flags & socket.MSG_CTRUNC)
        return {"text": data.decode(), "calls": calls, "lost": lost}

    def pass_credentials(self):
        """From here on the kernel says who sends."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def receive_credentials(self, size):
        """Takes so many bytes and returns who sent each: [pid, uid, gid]. After pass_credentials."""
        data, senders = b"", []
        while len(data) < size:
            room = socket.CMSG_SPACE(CREDENTIALS.size)
            more, control, _, _ = self.socket.recvmsg(size - len(data), room)
            if not more:
                break
            data += more
            for level, kind, value in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    senders.append(CREDENTIALS.unpack(value))
        return {"text": data.decode(), "senders": senders}

    def send_socket(self, text):
        """Sends one end of a new pair; the other is our socket from now on."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            socket.send_fds(self.socket, [text.encode()], [theirs.fileno()])
        self.socket.close()
        self.use(ours)

    def fork_and_send(self, text):
        """A child of ours sends over the same connection; returns its process."""
        child = os.fork()
        if child == 0:
            self.socket.sendall(text.encode())
            os._exit(0)
        os.waitpid(child, 0)
        return child

    def shut_down(self, how):
        self.socket.shutdown({"read": socket.SHUT_RD, "write": socket.SHUT_WR}[how])

    def close(self):
        self.socket.close()

    def at_end(self):
        """Whether the next thing to receive is the end; 'reset' if it is a failure."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return "reset"

    def small_buffer(self, size):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


def main():
    peer = Peer()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"result": getattr(peer, order.pop("command"))(**order)}
        except OSError as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer))


main()
