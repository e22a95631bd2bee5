// Owns: which types the package exports. Behaviour is described in full in docs/.

export type {
  BindOptions,
  Credentials,
  Descriptor,
  MessageData,
  MessageWithFds,
  NotifyCb,
  SendCallback,
  SendCb,
  SocketOptions,
  SocketPath,
} from './common.js';
export * from './compat/unix-dgram.js';
export * from './dgram.js';
export * from './functions.js';
export * from './seqpacket.js';
export type { ListenOptions, ServerOptions } from './server.js';
export * from './usocket.js';
