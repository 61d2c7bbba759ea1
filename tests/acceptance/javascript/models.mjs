// models.mjs create|find|remove OWNER NAME: a model's life as far as the client has words for it.
import { answer, replicate } from "./client.mjs";

const [act, owner, name] = process.argv.slice(2);

async function listed() {
  const found = [];
  for await (const page of replicate.paginate(replicate.models.list)) found.push(...page);
  return found.map((model) => `${model.owner}/${model.name}`);
}

async function find() {
  const model = await replicate.models.get(owner, name);
  const versions = await replicate.models.versions.list(owner, name);
  const version = await replicate.models.versions.get(owner, name, versions.results[0].id);
  const found = await replicate.models.search(name);
  const collections = await replicate.collections.list();
  const collection = await replicate.collections.get(collections.results[0].slug);
  return {
    latest: model.latest_version.id,
    example: model.default_example.output,
    versions: versions.results.map(({ id }) => id),
    inputs: Object.keys(version.openapi_schema.components.schemas.Input.properties),
    found: found.results.map((each) => each.name),
    isListed: (await listed()).includes(`${owner}/${name}`),
    collected: collection.models.map((each) => each.name),
  };
}

async function remove() {
  const model = await replicate.models.get(owner, name);
  const path = `/models/${owner}/${name}`;
  const version = await replicate.request(`${path}/versions/${model.latest_version.id}`, { method: "DELETE" });
  const gone = await replicate.request(path, { method: "DELETE" });
  const after = await replicate.models.get(owner, name).catch((error) => error.response);
  return { version: version.status, model: gone.status, after: after.status };
}

const options = { visibility: "private", hardware: "cpu", description: "says it again" };
const create = () => replicate.models.create(owner, name, options);
answer(await { create, find, remove }[act]());
