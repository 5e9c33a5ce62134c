/** One reason for all stops: making a DOMException takes a stack trace, which a stop has no time for. */
export const STOPPED = new DOMException("It was told to stop.", "AbortError");

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
  #listeners: Set<() => void> | undefined;

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
    const listeners = target.#listeners;
    target.#listeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
    target.#controller?.abort(STOPPED);
  }

  /** For {@link stopOf}: listens without a signal. Several may: a model may pass what it is given on to others. */
  static listen(target: LazySignal, listener: () => void): void {
    target.#listeners ??= new Set();
    target.#listeners.add(listener);
  }

  static leave(target: LazySignal, listener: () => void): void {
    target.#listeners?.delete(listener);
  }

  static isAborted(target: LazySignal): boolean {
    return target.#aborted;
  }
}

/** Being told to stop. */
export interface Stop {
  readonly aborted: boolean;
  /** Calls back once, at the moment of the stop; never, where that is over. Answers its undo. */
  listen(listener: () => void): () => void;
}

/** The same, of whatever holds a signal. Of a {@link LazySignal} no signal is made, and a stop is a plain call: an event costs many times that. */
export function stopOf(options: { readonly signal: AbortSignal }): Stop {
  return options instanceof LazySignal ? new LazyStop(options) : new SignalStop(options.signal);
}

class LazyStop implements Stop {
  private readonly target: LazySignal;

  constructor(target: LazySignal) {
    this.target = target;
  }

  get aborted(): boolean {
    return LazySignal.isAborted(this.target);
  }

  listen(listener: () => void): () => void {
    LazySignal.listen(this.target, listener);
    return () => {
      LazySignal.leave(this.target, listener);
    };
  }
}

class SignalStop implements Stop {
  private readonly signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  get aborted(): boolean {
    return this.signal.aborted;
  }

  listen(listener: () => void): () => void {
    this.signal.addEventListener("abort", listener, { once: true });
    return () => {
      this.signal.removeEventListener("abort", listener);
    };
  }
}
