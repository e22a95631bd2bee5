// The ESM face of afunix/net: the same classes and functions under the same names.
import net from './index.js';

export const {
  Server,
  Socket,
  Stream,
  connect,
  createConnection,
  createServer,
  isIP,
  isIPv4,
  isIPv6,
  serve,
} = net;
export default net;
