import type { Event } from "../../machines/events.ts";
import { initialState, isAtRest, type AgentState } from "../../machines/state.ts";
import { foldLogged } from "../fold.ts";
import { PAGE_BYTES, type EventLog } from "../log/event-log.ts";
import { isPromiseLike } from "../promise-like.ts";
import { CHUNK_CHARS, chunkOf, type Chunk } from "./encode.ts";
import type { EndReason } from "./protocol.ts";
import type { View } from "./subscription.ts";

/**
 * Says in another protocol what happens in a run, for one client. Pure: what it says depends on the events and the states alone. It answers plain
 * JSON objects, each an event of that protocol.
 *
 * X1 Total: every event of every log is taken, in order, each once.
 * X2 `begin`, then `take` for any number of events, then `end` is a valid stream of the protocol, wherever in a log it begins and ends.
 */
export interface Translator {
  /** The first words, in the state behind which the events begin. */
  begin(state: AgentState): readonly object[];
  take(event: Event, before: AgentState, after: AgentState): readonly object[];
  /** Closes what is open, and says how the run stands. `reason`: why the stream ends, where the run does not rest. */
  end(state: AgentState, reason: EndReason): readonly object[];
}

/** Events per read. */
const PAGE = 512;

/** A run as one client of another protocol sees it, from a state on. It is read once, from its first chunk to its last. */
export class TurnView implements View {
  state: AgentState;
  private readonly log: EventLog;
  private readonly runId: string;
  private readonly translator: Translator;
  private begun = false;
  /** Nothing behind it is shown. */
  private until = Number.POSITIVE_INFINITY;

  constructor(log: EventLog, runId: string, translator: Translator, state: AgentState = initialState()) {
    this.log = log;
    this.runId = runId;
    this.translator = translator;
    this.state = state;
  }

  next(cursor: number): Chunk | undefined | Promise<Chunk | undefined> {
    if (!this.begun) {
      this.begun = true;
      return chunkOf(cursor, 1, sse(this.translator.begin(this.state)), false);
    }
    const page = this.log.read(this.runId, { after: this.state.seq, limit: PAGE, bytes: PAGE_BYTES });
    return isPromiseLike(page) ? page.then((events) => this.take(events)) : this.take(page);
  }

  /** Where it ends for a run that rests at this seq; undefined where it has shown more than that, and the run went on. */
  restAt(seq: number): number | undefined {
    const at = Math.max(seq, this.state.seq);
    if (at > seq && !isAtRest(this.state)) return undefined;
    this.until = at;
    return at;
  }

  farewell(reason: EndReason): string {
    return sse(this.begun ? [] : this.translator.begin(this.state)) + sse(this.translator.end(this.state, reason));
  }

  private take(events: readonly Event[]): Chunk | undefined {
    let text = "";
    let count = 0;
    for (const event of events) {
      if (event.seq > this.until) break;
      const before = this.state;
      this.state = foldLogged(before, event);
      text += sse(this.translator.take(event, before, this.state), event.seq);
      count++;
      if (text.length >= CHUNK_CHARS) break;
    }
    return count === 0 ? undefined : chunkOf(this.state.seq, text === "" ? 0 : count, text, false);
  }
}

/** As SSE. The last one that an event of the run led to has its seq as id: behind it nothing of that event is left to be said. */
function sse(said: readonly object[], seq?: number): string {
  let text = "";
  for (const [index, one] of said.entries()) {
    if (seq !== undefined && index === said.length - 1) text += `id: ${seq}\n`;
    text += `data: ${JSON.stringify(one)}\n\n`;
  }
  return text;
}
