// stream_files.mjs MODEL TEXT: a file with this text as input, and of each event its name, or the text of the file that it is.
import { answer, replicate } from "./client.mjs";

const [model, text] = process.argv.slice(2);
const events = [];
for await (const { event, data } of replicate.stream(model, { input: { source: new File([text], "letter.txt") } })) {
  events.push(event === "output" ? { url: data.url().href, text: await (await data.blob()).text() } : { event, data });
}
answer(events);
