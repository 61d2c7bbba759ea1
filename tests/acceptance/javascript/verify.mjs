// verify.mjs [secret]: whether the deliveries on stdin ([{id, timestamp, signature, body}]) can be trusted, and changed
// ones, by that secret or the one the API tells.
import { validateWebhook } from "replicate";

import { answer, replicate } from "./client.mjs";

let text = "";
for await (const piece of process.stdin) text += piece;
const secret = process.argv[2] ?? (await replicate.webhooks.default.secret.get()).key;
const trusted = [];
const changed = [];
for (const delivery of JSON.parse(text)) {
  trusted.push(await validateWebhook({ ...delivery, secret }));
  changed.push(await validateWebhook({ ...delivery, secret, body: `${delivery.body} ` }));
}
answer({ trusted, changed });
