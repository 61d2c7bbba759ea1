// verify.mjs: whether the deliveries on stdin ([{id, timestamp, signature, body}]) can be trusted, and a changed one.
import { validateWebhook } from "replicate";

import { answer, replicate } from "./client.mjs";

let text = "";
for await (const piece of process.stdin) text += piece;
const { key: secret } = await replicate.webhooks.default.secret.get();
const trusted = [];
const changed = [];
for (const delivery of JSON.parse(text)) {
  trusted.push(await validateWebhook({ ...delivery, secret }));
  changed.push(await validateWebhook({ ...delivery, secret, body: `${delivery.body} ` }));
}
answer({ trusted, changed });
