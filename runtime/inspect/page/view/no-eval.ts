import { z } from "zod";

// No code is made of text in this page: its policy refuses that, and zod tries as soon as a schema is made. So this stands before every other import.
z.config({ jitless: true });
