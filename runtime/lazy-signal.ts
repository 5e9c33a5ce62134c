/** One reason for all stops: making a DOMException takes a stack trace, which a stop has no time for. */
const STOPPED = new DOMException("It was told to stop.", "AbortError");

/**
 * An object with a `signal` that is made when somebody asks for it: most requests and calls are never aborted, and a controller is dear.
 *
 * The accessor is one for all objects. A getter in an object literal is a new function each time, which makes an engine give each such object
 * a hidden class of its own; those name each other, so that one that lives long keeps all that came after it through every minor collection.
 */
export class LazySignal {
  declare readonly signal: AbortSignal;
  #controller: AbortController | undefined;
  #aborted = false;

  /** The object's own, not its prototype's: `{ ...ctx }` has it too. */
  static readonly #accessor: PropertyDescriptor & ThisType<LazySignal> = {
    enumerable: true,
    get() {
      this.#controller ??= new AbortController();
      if (this.#aborted) this.#controller.abort(STOPPED);
      return this.#controller.signal;
    },
  };

  constructor() {
    Object.defineProperty(this, "signal", LazySignal.#accessor);
  }

  /** No method: who is given the object may look at the signal, not raise it. */
  static abort(target: LazySignal): void {
    target.#aborted = true;
    target.#controller?.abort(STOPPED);
  }
}
