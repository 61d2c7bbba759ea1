// list.mjs: the ids of all predictions, page after page.
import { answer, replicate } from "./client.mjs";

const pages = [];
for await (const page of replicate.paginate(replicate.predictions.list)) pages.push(page.map(({ id }) => id));
answer({ pages: pages.length, ids: pages.flat() });
