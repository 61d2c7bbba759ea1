// stream.mjs MODEL INPUT: every event of the stream.
import { answer, replicate } from "./client.mjs";

const [model, input] = process.argv.slice(2);
const events = [];
for await (const { event, data } of replicate.stream(model, { input: JSON.parse(input) })) {
  events.push({ event, data });
}
answer(events);
