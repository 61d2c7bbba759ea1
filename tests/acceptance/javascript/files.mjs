// files.mjs MODEL TEXT: a file with this text as input, and what is under the address that the model gave for its output.
import { answer, replicate } from "./client.mjs";

const [model, text] = process.argv.slice(2);
const url = await replicate.run(model, { input: { file: new File([text], "letter.txt") } });
const file = await fetch(url);
answer({ name: new URL(url).pathname.split("/").at(-1), type: file.headers.get("content-type"), text: await file.text() });
