// uploads.mjs TEXT: a file uploaded with metadata, read, listed and deleted.
import { answer, replicate } from "./client.mjs";

const text = process.argv[2];
const made = await replicate.files.create(new File([text], "a.txt", { type: "text/plain" }), { a: 1 });
const found = await replicate.files.get(made.id);
const content = await (await fetch(made.urls.download)).text();
const listed = async () => (await replicate.files.list()).results.some(({ id }) => id === made.id);
const before = await listed();
const isDeleted = await replicate.files.delete(made.id);
answer({ name: found.name, metadata: found.metadata, content, before, isDeleted, after: await listed() });
