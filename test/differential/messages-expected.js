'use strict';

// Owns the classes of faults that are known: the tests fail with any other. A fault that is mended takes its line with
// it.

module.exports = new Set([
  'dgram: arrived, and its callback said ECANCELED',
  'dgram: callbacks out of order',
  'dgram: no error for a closed descriptor',
  'dgram: other descriptors arrived',
  'seqpacket: arrived, and its callback said ERR_STREAM_DESTROYED',
  'seqpacket: arrived, and its callback said ERR_STREAM_WRITE_AFTER_END',
  'seqpacket: callbacks out of order',
  'seqpacket: data after destroy() or close()',
  'seqpacket: descriptors of a message: ERR_AFUNIX_FDS_CLOSED',
  'seqpacket: no error for a closed descriptor',
  'seqpacket: other descriptors arrived',
  'seqpacket: received less than was sent',
  'seqpacket: received other descriptors',
]);
