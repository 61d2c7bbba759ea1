// predictions.mjs MODEL INPUT: create, get, wait, cancel after the end, and whether the list has it.
import { answer, replicate } from "./client.mjs";

const [model, input] = process.argv.slice(2);
const created = await replicate.predictions.create({ model, input: JSON.parse(input) });
const found = await replicate.predictions.get(created.id);
const ended = await replicate.wait(created);
const canceled = await replicate.predictions.cancel(created.id);
const listed = [];
for await (const page of replicate.paginate(replicate.predictions.list)) {
  listed.push(...page.map(({ id }) => id));
}
answer({ created, found, ended, canceled, isListed: listed.includes(created.id) });
