// Owns: the types of emitters that know the events they have: name → arguments of listeners.

import { EventEmitter } from 'node:events';

/** The events of every emitter. */
export interface BaseEvents {
  newListener: [event: string | symbol, listener: (...args: any[]) => void];
  removeListener: [event: string | symbol, listener: (...args: any[]) => void];
}

/** The names of events. */
export type Name<Events> = keyof Events & (string | symbol);

/** What an event brings. */
export type Arguments<Events, Event extends keyof Events> = Events[Event] extends unknown[]
  ? Events[Event]
  : never;

/** Who hears of it. */
export type Listener<Events, Event extends keyof Events> = (
  ...args: Arguments<Events, Event>
) => void;

/** An emitter of such events. */
export declare class EventfulEmitter<Events extends BaseEvents> extends EventEmitter {
  on<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  once<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  off<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  addListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  removeListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  prependListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  prependOnceListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  emit<E extends Name<Events>>(event: E, ...args: Arguments<Events, E>): boolean;
}
