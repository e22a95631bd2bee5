"""The far end of peers-seqpacket.test.js: seqpacket sockets, driven from standard input.

Each line there is a JSON object with a command (a method of Peer) and its keyword arguments; each
gets one line of JSON back, {"result": …} or {"error": …}. Ends with its standard input.
"""

import hashlib
import json
import os
import socket
import sys

TIMEOUT = 15  # seconds, for anything that waits
LARGEST = 1 << 20  # bytes: more than the kernel takes in one message
MOST_FDS = 253


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Peer:
    def __init__(self):
        self.listener = None
        self.socket = None

    def listen(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(TIMEOUT)
        self.listener.bind(path)
        self.listener.listen()
        return os.getpid()

    def accept(self):
        self.socket, _ = self.listener.accept()
        self.socket.settimeout(TIMEOUT)

    def connect(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        return os.getpid()

    def send(self, sizes, eor=False):
        """Sends messages of random bytes; returns their digests."""
        messages = [os.urandom(size) for size in sizes]
        for message in messages:
            self.socket.send(message, socket.MSG_EOR if eor else 0)
        return [digest(message) for message in messages]

    def send_texts(self, texts):
        for text in texts:
            self.socket.send(text.encode())

    def send_files(self, paths, text=""):
        """Opens files, sends their descriptors in one message, closes them."""
        fds = [os.open(path, os.O_RDONLY) for path in paths]
        try:
            return socket.send_fds(self.socket, [text.encode()], fds)
        finally:
            for fd in fds:
                os.close(fd)

    def receive(self, count):
        """Takes messages: digest, size, text, and what is in the files behind descriptors."""
        return [self.receive_one() for _ in range(count)]

    def receive_one(self):
        data, fds, flags, _ = socket.recv_fds(self.socket, LARGEST, MOST_FDS)
        texts = [os.pread(fd, 4096, 0).decode() for fd in fds]
        for fd in fds:
            os.close(fd)
        return {
            "digest": digest(data),
            "size": len(data),
            "text": data.decode() if len(data) < 1000 and data.isascii() else None,
            "files": texts,
            "truncated": bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)),
        }

    def shut_down(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()


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
