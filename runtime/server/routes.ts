import { z } from "zod";

/** Every path, in the order of the description. */
export const ROUTES = [
  "/runs",
  "/runs/:id",
  "/runs/:id/state",
  "/runs/:id/commands",
  "/runs/:id/tickets",
  "/runs/:id/events",
  "/runs/:id/socket",
  "/agui",
  "/agui/:agent",
  "/ui/chat",
  "/ui/chat/:id/stream",
  "/health",
  "/api/health",
  "/metrics",
  "/api/metrics",
  "/openapi.json",
] as const;
export type RoutePath = (typeof ROUTES)[number];

/** The query of `GET /runs`, beside `metadata.KEY`. */
export const listQuery = z.strictObject({
  status: z.enum(["idle", "thinking", "acting", "waiting", "interrupted", "done", "failed", "cancelled"]).optional(),
  agent: z.string().optional(),
  /** The newest so many. */
  limit: z.coerce.number().int().min(1).max(1_000).default(1_000),
});
