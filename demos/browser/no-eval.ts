import { z } from "zod";

// Imported before everything else: zod tries `new Function` to see whether it may, and a strict Content-Security-Policy reports that.

z.config({ jitless: true });
