export function us(ms: number): string {
  return `${round(ms * 1_000)} us`;
}

export function ms(value: number): string {
  return `${round(value)} ms`;
}

export function mb(bytes: number): string {
  return `${round(bytes / 1_048_576)} MB`;
}

export function rate(perSecond: number): string {
  return perSecond >= 1e6 ? `${round(perSecond / 1e6)} M/s` : `${round(perSecond / 1e3)} k/s`;
}

/** Two or three digits that say something. */
function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
