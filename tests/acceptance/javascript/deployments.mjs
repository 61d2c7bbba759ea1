// deployments.mjs NAME MODEL VERSION INPUT: create, get, list, update, run through it, and stop.
import { answer, replicate } from "./client.mjs";

const [name, model, version, input] = process.argv.slice(2);
const wish = { name, model, version, hardware: "cpu", min_instances: 0, max_instances: 1 };
const created = await replicate.deployments.create(wish);
const found = await replicate.deployments.get(created.owner, name);
const updated = await replicate.deployments.update(created.owner, name, { max_instances: 2 });
const listed = (await replicate.deployments.list()).results.map((each) => each.name);
const prediction = await replicate.deployments.predictions.create(created.owner, name, { input: JSON.parse(input) });
const ended = await replicate.wait(prediction);
const stopped = await replicate.deployments.update(created.owner, name, { max_instances: 0 });
const hardware = await replicate.hardware.list();
answer({ created, found, updated, isListed: listed.includes(name), ended, stopped, hardware });
