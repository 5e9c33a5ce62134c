/** 128 and the signal's number, as a shell reports it. An interrupt is not a failure (P25). */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** It rests because a call waits for a person, and nobody is here to ask. */
  waiting: 3,
  hungUp: 129,
  interrupted: 130,
  brokenPipe: 141,
  terminated: 143,
} as const;
