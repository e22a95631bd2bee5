'use strict';

/** Owns the adapter of packages with the calls of posix-socket. */

/**
 * @param {object} package_ with socket, bind, listen, accept, connect, send, recv and constants
 * @returns {object} the `posix` of an adapter, see ../impl/afunix.js
 */
function posixAdapter(package_) {
  const { AF_UNIX, SOCK_STREAM, accept, bind, connect, listen, recv, send, socket } = package_;

  return {
    answer(path, size, ready) {
      const listener = socket(AF_UNIX, SOCK_STREAM, 0);
      bind(listener, { sun_family: AF_UNIX, sun_path: path });
      listen(listener, 1);
      ready();
      const sockfd = accept(listener, {});
      const message = new ArrayBuffer(size);
      for (let length; (length = recv(sockfd, message, size, 0)) > 0;) {
        send(sockfd, message, length, 0);
      }
      process.exit(0);
    },

    connect(path, request, response) {
      const sockfd = socket(AF_UNIX, SOCK_STREAM, 0);
      connect(sockfd, { sun_family: AF_UNIX, sun_path: path });
      const size = request.byteLength;
      return () => {
        send(sockfd, request, size, 0);
        return recv(sockfd, response, size, 0);
      };
    },
  };
}

module.exports = { posixAdapter };
