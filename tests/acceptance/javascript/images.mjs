// images.mjs MODEL PROMPT [OPTIONS]: what the AI SDK makes of a model that paints, as media types and base64.
import { createReplicate } from "@ai-sdk/replicate";
import { generateImage } from "ai";
import { answer } from "./client.mjs";

const [model, prompt, options = "{}"] = process.argv.slice(2);
const provider = createReplicate({
  apiToken: process.env.REPLICATE_API_TOKEN,
  baseURL: `${process.env.REPLICATE_BASE_URL}/v1`,
});
try {
  const { images } = await generateImage({
    model: provider.image(model),
    prompt,
    maxRetries: 0,
    ...JSON.parse(options),
  });
  answer({ images: images.map(({ mediaType, base64 }) => [mediaType, base64]) });
} catch (error) {
  answer({ error: error.message, status: error.statusCode });
}
