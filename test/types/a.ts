import { DgramSocket } from 'afunix';
new DgramSocket();
