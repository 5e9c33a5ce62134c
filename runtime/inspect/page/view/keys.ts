import type { Player } from "./player.ts";
import type { Session } from "./session.ts";

/** What each key does, for the help and for the page: one list. */
export const KEYS: readonly (readonly [keys: string, does: string])[] = [
  ["← →", "the event before, the next (with Shift: ten)"],
  ["Home, End", "the beginning, the end"],
  ["Space, Shift Space", "play at 1×, at 10×; again: stop"],
  ["[ ]", "the step before, the next"],
  ["i", "the next interrupt"],
  ["+ − 0", "zoom the timeline; the whole run"],
  ["/", "search"],
  ["1 … 6", "event, state, messages, calls, act, raw"],
  ["?", "this help; Esc closes it"],
];

const TABS = ["event", "state", "messages", "calls", "act", "raw"] as const;

/** Listens to the keyboard of the whole page; what is typed into a field is left to it. */
export function listenToKeys(session: Session, player: Player): void {
  document.addEventListener("keydown", (press) => {
    // What composes a character is no key of ours: Escape ends the composing, and nothing else.
    if (press.ctrlKey || press.metaKey || press.altKey || press.defaultPrevented || press.isComposing) return;
    const { target, key } = press;
    if (key === "Escape") {
      session.help = false;
      session.picked = undefined;
      if (target instanceof HTMLElement || target instanceof SVGElement) target.blur();
      session.changed();
      return;
    }
    if (isTyping(target) || isInDialog(target, key)) return;
    // A button or a link that has the focus is pressed by these.
    if (
      (key === " " || key === "Enter") &&
      target instanceof Element &&
      target.closest("button, summary, select, a, [role=button]")
    )
      return;
    if (act(session, player, press)) press.preventDefault();
  });
}

/** A dialog that has the focus is moved in, and not what lies behind it; but the key that opened it closes it. */
function isInDialog(target: EventTarget | null, key: string): boolean {
  return key !== "?" && target instanceof Element && target.closest("[role=dialog]") !== null;
}

function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return target.type !== "range" && target.type !== "checkbox";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

function act(session: Session, player: Player, { key, shiftKey }: KeyboardEvent): boolean {
  switch (key) {
    case "ArrowLeft":
      session.move(shiftKey ? -10 : -1);
      return true;
    case "ArrowRight":
      session.move(shiftKey ? 10 : 1);
      return true;
    case "Home":
      session.goTo(0);
      return true;
    case "End":
      session.goTo(session.endSeq);
      return true;
    case " ":
      player.toggle(shiftKey ? 10 : 1);
      return true;
    case "[":
      session.moveStep(-1);
      return true;
    case "]":
      session.moveStep(1);
      return true;
    case "i":
      session.moveToInterrupt();
      return true;
    case "+":
    case "=":
      session.zoom(0.5);
      return true;
    case "-":
      session.zoom(2);
      return true;
    case "0":
      session.window = undefined;
      session.changed();
      return true;
    case "/":
      document.querySelector<HTMLInputElement>("#search")?.focus();
      return true;
    case "?":
      session.help = !session.help;
      session.changed();
      return true;
    default: {
      const tab = TABS[Number(key) - 1];
      if (tab === undefined) return false;
      session.tab = tab;
      session.changed();
      // From there Tab goes through what is shown, and not through all that stands before it.
      document.querySelector<HTMLElement>(".tab-body")?.focus({ preventScroll: true });
      return true;
    }
  }
}
