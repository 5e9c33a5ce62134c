// Functions that run in the page: they are sent there as text, so each stands for itself.

/** In the page: controls of one bar that lie on one another, and such whose text is cut. */
export function overlaps(): string[] {
  const found: string[] = [];
  for (const bar of document.querySelectorAll(".top, .transport, .tabs, .finder")) {
    const controls = [...bar.querySelectorAll<HTMLElement>("button, select, .button, .title, .badge, .moment")].filter(
      (control) => control.offsetWidth > 0,
    );
    for (const [index, one] of controls.entries()) {
      const a = one.getBoundingClientRect();
      if (one.scrollWidth > one.clientWidth + 2 && !one.classList.contains("title"))
        found.push(`cut: ${one.textContent}`);
      for (const other of controls.slice(index + 1)) {
        if (one.contains(other) || other.contains(one)) continue;
        const b = other.getBoundingClientRect();
        const apart = a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
        if (!apart) found.push(`${one.textContent} / ${other.textContent}`);
      }
    }
  }
  for (const cell of document.querySelectorAll<HTMLElement>(".row .seq")) {
    if (cell.scrollWidth > cell.clientWidth) found.push(`row: ${cell.textContent}`);
  }
  return found;
}

/** In the page: texts whose contrast with what lies behind them is below 4.5, as WCAG AA wants it. */
export function faint(): string[] {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (canvas === null) return ["no canvas"];
  const rgba = (color: string): number[] => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (color: readonly number[]): number => {
    const [r = 0, g = 0, b = 0] = color.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element: Element | null): number[] => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if ((color[3] ?? 0) > 200) return color;
    }
    return [255, 255, 255, 255];
  };
  const found: string[] = [];
  for (const element of document.querySelectorAll<HTMLElement>(
    "h1, h3, h4, p, button, select, .dim, .seq, .type, .said, dt, dd, li",
  )) {
    const text = element.textContent ?? "";
    if (text.trim() === "" || element.offsetWidth === 0 || element.matches(":disabled")) continue;
    const front = light(rgba(getComputedStyle(element).color));
    const back = light(behind(element));
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5)
      found.push(`${element.className || element.tagName}: ${contrast.toFixed(2)} ${text.slice(0, 30)}`);
  }
  return [...new Set(found)];
}
