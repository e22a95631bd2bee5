// Owns: which types the package exports. Behaviour is described in full in docs/.

export type {
  BindOptions,
  Credentials,
  Descriptor,
  Detached,
  MessageData,
  MessageWithFds,
  NotifyCb,
  PidfdOption,
  ReceivedFds,
  SendCallback,
  SendCb,
  SocketOptions,
  SocketPath,
} from './sockets/common.js';
export * from './compat/unix-dgram.js';
export * from './sockets/dgram.js';
export * from './descriptors/functions.js';
export * from './net/serve.js';
export * from './sockets/seqpacket.js';
export type { CloseOptions, Dropped, ListenOptions, ServerOptions } from './sockets/server.js';
export * from './sockets/userver.js';
export * from './sockets/usocket.js';
