import { checkKeys, checkOption, isDelay } from "./checks.ts";
import type { ClassifiedError, ErrorClass } from "./error-class.ts";
import { sharedBucket, type RetryBucket } from "./retry-bucket.ts";

/** What a recovery handler may look at. */
export interface RetryContext {
  readonly runId: string;
  readonly step: number;
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  /** How often the request was made again with this model so far. */
  readonly retries: number;
  /** Name of the model that failed. */
  readonly model: string;
}

/** Decides about a failure instead of the classification. One that throws, or answers anything else, means `fail`. */
export type RecoveryHandler = (error: ClassifiedError, context: RetryContext) => "retry" | "fail";

/** How failed model requests are made again. This is the one layer that does so (P30): a model must not retry by itself. */
export interface RetryOptions {
  /** How often one request is made again with one model, 0 to 100. Default 3. */
  readonly retries?: number;
  /** The wait before the first retry is up to this, ms, the next up to twice as long, and so on. Default 500. */
  readonly baseMs?: number;
  /** No wait is longer, but for one that the endpoint asks for (up to 60,000). Default 30,000. */
  readonly maxMs?: number;
  /** How many retries there are for all. Default: one bucket for the process. */
  readonly bucket?: RetryBucket;
  /** By class of error. */
  readonly on?: Readonly<Partial<Record<ErrorClass, RecoveryHandler>>>;
}

const KEYS = ["retries", "baseMs", "maxMs", "bucket", "on"] as const;
const CLASSES: Readonly<Record<ErrorClass, true>> = {
  network: true,
  timeout: true,
  rate_limit: true,
  server: true,
  truncated: true,
  auth: true,
  quota: true,
  context_length: true,
  not_found: true,
  request: true,
  unknown: true,
};

/** What becomes of a failed request. */
export type Verdict =
  | { readonly do: "retry"; readonly delayMs: number }
  /** No retry, and why where that is not plain from the error. */
  | { readonly do: "fail"; readonly why?: string };

export interface RetryPolicy {
  decide(error: ClassifiedError, context: RetryContext, now: number): Verdict;
}

export function retryPolicy(options: RetryOptions | undefined, random: (() => number) | undefined): RetryPolicy {
  return options === undefined && random === undefined ? DEFAULT : policyOf(options ?? {}, random ?? Math.random);
}

function policyOf(options: RetryOptions, random: () => number): RetryPolicy {
  checkKeys("retry", options, KEYS);
  const { retries = 3, baseMs = 500, maxMs = 30_000, bucket = sharedBucket, on = {} } = options;
  checkOption(
    "retry.retries",
    retries,
    Number.isInteger(retries) && retries >= 0 && retries <= 100,
    "a whole number from 0 to 100",
  );
  checkOption("retry.baseMs", baseMs, isDelay(baseMs, 0), "milliseconds from 0 to 2147483647");
  checkOption("retry.maxMs", maxMs, isDelay(maxMs, 0), "milliseconds from 0 to 2147483647");
  for (const [name, handler] of Object.entries(on)) {
    checkOption(
      "retry.on",
      name,
      Object.hasOwn(CLASSES, name),
      `classes of errors: ${Object.keys(CLASSES).join(", ")}`,
    );
    checkOption(`retry.on.${name}`, typeof handler, typeof handler === "function", "a function");
  }
  return {
    decide(error, context, now) {
      const handler = on[error.class];
      const wanted = handler === undefined ? error.retryable : ask(handler, error, context);
      if (!wanted || context.retries >= retries) return { do: "fail" };
      if (!takeFrom(bucket, now)) {
        return { do: "fail", why: "It is not tried again: this process has used up its retries for now." };
      }
      const own = random() * Math.min(maxMs, baseMs * 2 ** context.retries);
      return { do: "retry", delayMs: Math.round(error.retryAfterMs ?? own) };
    },
  };
}

/** One for all agents that ask for no other. */
const DEFAULT = policyOf({}, () => Math.random());

/** A bucket of somebody's own that throws gives nothing: the failure that is at hand has to be told. */
function takeFrom(bucket: RetryBucket, now: number): boolean {
  try {
    return bucket.take(now);
  } catch {
    return false;
  }
}

function ask(handler: RecoveryHandler, error: ClassifiedError, context: RetryContext): boolean {
  try {
    return handler(error, context) === "retry";
  } catch {
    return false;
  }
}
