// The ESM face of index.js: the same objects under the same names.
import afunix from './index.js';

export const { DgramSocket, SeqpacketServer, SeqpacketSocket, closeFd } = afunix;
export default afunix;
