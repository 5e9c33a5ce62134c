/** Keeps the end of the conversation in view while it grows, unless the reader scrolled up. Answers its undo. */
export function followEnd(transcript: Element): () => void {
  const page = document.documentElement;
  let atEnd = true;
  const onScroll = (): void => {
    atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 64;
  };
  const observer = new MutationObserver(() => {
    if (atEnd) page.scrollTop = page.scrollHeight;
  });
  addEventListener("scroll", onScroll, { passive: true });
  observer.observe(transcript, { childList: true, characterData: true, subtree: true });
  return () => {
    removeEventListener("scroll", onScroll);
    observer.disconnect();
  };
}
