// The ESM face of index.js: the same objects under the same names.
import afunix from './index.js';

export const { DgramSocket, SeqpacketServer, SeqpacketSocket } = afunix;
export default afunix;
