// trainings.mjs VERSION DESTINATION INPUT ENDLESS: create, get until it ends, list; and cancel one that would not end.
import { setTimeout } from "node:timers/promises";
import { answer, replicate } from "./client.mjs";

const [named, destination, input, endless] = process.argv.slice(2);
const [owner, name, version] = named.split(/[/:]/);
const create = (given) => replicate.trainings.create(owner, name, version, { destination, input: JSON.parse(given) });

const created = await create(input);
let ended = created;
while (["starting", "processing"].includes(ended.status)) {
  await setTimeout(50);
  ended = await replicate.trainings.get(created.id);
}
const canceled = await replicate.trainings.cancel((await create(endless)).id);
const listed = (await replicate.trainings.list()).results.map(({ id }) => id);
answer({ created, ended, canceled, isListed: listed.includes(created.id) });
