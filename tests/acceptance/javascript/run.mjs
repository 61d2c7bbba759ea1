// run.mjs MODEL INPUT [OPTIONS]: the output, or what was thrown.
import { answer, replicate } from "./client.mjs";

const [model, input, options = "{}"] = process.argv.slice(2);
try {
  answer({ output: await replicate.run(model, { input: JSON.parse(input), ...JSON.parse(options) }) });
} catch (error) {
  answer({ error: error.message, status: error.response?.status });
}
