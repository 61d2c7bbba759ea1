// Replicate's JavaScript client, told by the environment where Pinion is.
import Replicate from "replicate";

export const replicate = new Replicate({
  auth: process.env.REPLICATE_API_TOKEN,
  baseUrl: `${process.env.REPLICATE_BASE_URL}/v1`,
});

export function answer(value) {
  console.log(JSON.stringify(value));
}
