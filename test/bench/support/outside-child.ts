import { createAgent, fileLog, type ChatModel } from "rubato";

/** Owns runs that another process interrupts: an answer that streams without end, a token about every millisecond. */
const [folder = "", count = "0"] = process.argv.slice(2);

const model: ChatModel = {
  name: "endless",
  async *stream(_request, { signal }) {
    for (let token = 0; !signal.aborted; token++) {
      yield { type: "text", text: `${token} ` };
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  },
};
const agent = createAgent({ name: "bench", model, log: fileLog(folder), maxSteps: 1_000 });
for (let index = 0; index < Number(count); index++) agent.run("task", { runId: `r${index}` });
process.on("message", () => {
  agent.close().then(() => process.disconnect(), console.error);
});
process.send?.("ready");
