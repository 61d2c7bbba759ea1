// cancel.mjs MODEL INPUT: cancel a prediction that runs, then abort a run; how both ended.
import { answer, replicate } from "./client.mjs";

const [model, text] = process.argv.slice(2);
const input = JSON.parse(text);
const created = await replicate.predictions.create({ version: model.split(":")[1], input });
const canceled = await replicate.predictions.cancel(created.id);
const ended = await replicate.wait(created);

const controller = new AbortController();
let aborted;
const progress = ({ id }) => {
  aborted = id;
  controller.abort();
};
const wait = { mode: "poll", interval: 50 };
await replicate.run(model, { input, wait, signal: controller.signal }, progress);
answer([canceled.id === created.id, ended.status, (await replicate.wait(await replicate.predictions.get(aborted))).status]);
