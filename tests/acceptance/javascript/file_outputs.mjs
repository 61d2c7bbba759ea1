// file_outputs.mjs MODEL TEXT: a file with this text as input, and the address and text of the file that comes out.
import { answer, replicate } from "./client.mjs";

const [model, text] = process.argv.slice(2);
const file = await replicate.run(model, { input: { file: new File([text], "letter.txt") } });
answer({ url: file.url().href, text: await (await file.blob()).text() });
