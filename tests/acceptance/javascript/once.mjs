// once.mjs BASE-URL MODEL INPUT KEY: run a model over a line that may break, with a key by which the create is known.
import Replicate from "replicate";

import { answer } from "./client.mjs";

const [address, model, input, key] = process.argv.slice(2);
const replicate = new Replicate({
  baseUrl: address,
  fetch: (url, { headers, ...options }) => fetch(url, { ...options, headers: { ...headers, "Idempotency-Key": key } }),
});
answer({ output: await replicate.run(model, { input: JSON.parse(input) }) });
