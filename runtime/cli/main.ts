#!/usr/bin/env node
import { program } from "./program.ts";

// Everything is closed and written when this resolves; a tool that ignored its signal must not keep the process.
process.exit(await program(process.argv.slice(2)));
